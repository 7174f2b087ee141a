//! What a commit says, held against the records that it closes.

use crate::commit::Commit;
use crate::record::{RecordHeader, RecordKind};
use crate::table_entry::TableEntry;
use crate::verify::finding::FindingKind;
use crate::verify::findings::Halt;
use crate::verify::ledger::{GroupRow, Place};
use crate::verify::life::End;
use crate::verify::pending::{Member, Pending};
use crate::verify::walk::Walk;

impl Walk<'_, '_> {
    /// Ends the group of a commit whose record is `header`.
    pub(super) fn close_group(&mut self, header: &RecordHeader, commit: &Commit) -> Result<(), Halt> {
        let mut pending = std::mem::take(&mut self.log.pending);
        let members = std::mem::take(&mut pending.members);
        let (earlier, own): (Vec<Member>, Vec<Member>) =
            members.into_iter().partition(|member| member.header.sequence < commit.first_sequence);
        pending.members = own;
        self.report_damage(&pending)?;
        self.log.is_incomplete |= may_hide_group(commit, &pending);
        self.adopt(header, &earlier, &pending)?;
        self.count_records(header, commit, &pending)?;
        self.compare_entries(header, commit, &pending)?;
        self.check_open(header, commit)?;
        self.check_entries(header, commit)?;
        if self.survey.options.payloads {
            self.check_payloads(&pending)?;
        }
        for entry in &commit.entries {
            self.survey.ledger.budget.push(&mut self.log.entries, *entry)?;
        }
        self.log.good_units = header.unit_offset + header.unit_count;
        self.log.last_sequence = header.sequence;
        self.log.end = End::Clean;
        self.number(header, commit)
    }

    /// Between two commits, what does not check out and no void record names is damage.
    fn report_damage(&mut self, pending: &Pending) -> Result<(), Halt> {
        for gap in &pending.gaps {
            let what = format!("units {} to {} hold no record that checks out", gap.start, gap.end - 1);
            self.survey.findings.add(FindingKind::RecordDamaged, self.at(gap.start), what)?;
        }
        let commits = pending.damaged_commits.iter().map(|(unit, why)| (*unit, why));
        let members = pending.members.iter();
        let damaged = members.filter_map(|member| Some((member.header.unit_offset, member.damage.as_ref()?)));
        for (unit, why) in commits.chain(damaged) {
            let what = format!("what its record holds is damaged: {why}");
            self.survey.findings.add(FindingKind::StructureDamaged, self.at(unit), what)?;
        }
        Ok(())
    }

    /// Records before the group's first one are those of a group whose commit is damaged: this commit vouches for them.
    fn adopt(&mut self, header: &RecordHeader, earlier: &[Member], pending: &Pending) -> Result<(), Halt> {
        if earlier.is_empty() {
            return Ok(());
        }
        let is_explained = !pending.gaps.is_empty() || !pending.damaged_commits.is_empty();
        let at = self.at(earlier[0].header.unit_offset);
        self.survey.findings.expect(is_explained, FindingKind::CommitContradictsRecords, at, || {
            let count = earlier.len();
            format!(
                "{count} records from here on belong to no group, and the commit in unit {} comes after them",
                header.unit_offset
            )
        })?;
        self.log.is_incomplete = true;
        for entry in earlier.iter().flat_map(Member::entries) {
            self.survey.ledger.budget.push(&mut self.log.entries, entry)?;
        }
        Ok(())
    }

    fn count_records(
        &mut self,
        header: &RecordHeader,
        commit: &Commit,
        pending: &Pending,
    ) -> Result<(), Halt> {
        let found = pending.members.len() as u64;
        let said = u64::from(commit.record_count);
        let is_damaged = !pending.gaps.is_empty();
        let at = self.at(header.unit_offset);
        let is_right = found == said || (is_damaged && found < said);
        self.survey.findings.expect(is_right, FindingKind::CommitContradictsRecords, at, || {
            format!("its commit closes {said} records, and {found} stand before it")
        })?;
        let first = pending.members.first().map_or(header.sequence, |member| member.header.sequence);
        let is_right = first == commit.first_sequence || (is_damaged && first > commit.first_sequence);
        self.survey.findings.expect(is_right, FindingKind::CommitContradictsRecords, at, || {
            format!(
                "its commit says that its group begins with sequence {}, and it begins with {first}",
                commit.first_sequence
            )
        })
    }

    /// The list of a commit, held against the records themselves.
    fn compare_entries(
        &mut self,
        header: &RecordHeader,
        commit: &Commit,
        pending: &Pending,
    ) -> Result<(), Halt> {
        let found: Vec<TableEntry> = pending.members.iter().flat_map(Member::entries).collect();
        if found == commit.entries {
            return Ok(());
        }
        let mut rest = found.as_slice();
        for listed in &commit.entries {
            if let Some((first, after)) = rest.split_first()
                && first == listed
            {
                rest = after;
                continue;
            }
            let unit = unit_of(listed);
            let is_hidden = pending.is_in_gap(unit)
                || pending.members.iter().any(|member| {
                    member.header.unit_offset == unit
                        && member.header.kind == RecordKind::Tombstones
                        && member.damage.is_some()
                });
            let at = self.at(unit).key(key_of(listed));
            let commit_unit = header.unit_offset;
            self.survey.findings.expect(is_hidden, FindingKind::CommitContradictsRecords, at, || {
                format!("the commit in unit {commit_unit} lists {listed:?}, and no such record stands there")
            })?;
            if is_hidden && let TableEntry::Block { key, .. } = listed {
                let what = format!("the record of block {key} does not check out");
                self.survey.findings.add(FindingKind::RecordDamaged, at, what)?;
            }
        }
        let at = self.at(rest.first().map_or(header.unit_offset, unit_of));
        self.survey.findings.expect(rest.is_empty(), FindingKind::CommitContradictsRecords, at, || {
            format!("the commit in unit {} does not list {:?}", header.unit_offset, rest[0])
        })
    }

    fn check_open(&mut self, header: &RecordHeader, commit: &Commit) -> Result<(), Halt> {
        let (zone, unit) = (self.scope.zone, header.unit_offset);
        let end = unit + header.unit_count;
        let own = commit.open.iter().find(|open| open.zone == zone);
        let is_right =
            own.is_some_and(|own| own.good_units == end && own.incarnation == self.scope.incarnation);
        let at = self.at(unit);
        self.survey.findings.expect(is_right, FindingKind::CommitContradictsZone, at, || {
            format!("its commit says of its own zone {own:?}, and ends at unit {end}")
        })?;
        self.survey.claims.note_open(header.sequence, &commit.open);
        for (index, open) in commit.open.iter().enumerate() {
            let is_possible = open.zone < self.label.zone_count
                && open.incarnation <= header.sequence
                && !self.label.label_zones.contains(&open.zone)
                && !self.label.is_checkpoint_zone(open.zone)
                && commit.open[..index].iter().all(|before| before.zone != open.zone);
            self.survey.findings.expect(is_possible, FindingKind::CommitContradictsZone, at, || {
                format!("its commit names an open zone that cannot be: {open:?}")
            })?;
            self.survey.claims.add(open, Place::new(zone, unit));
        }
        Ok(())
    }

    /// What entries say that can be judged without another zone.
    fn check_entries(&mut self, header: &RecordHeader, commit: &Commit) -> Result<(), Halt> {
        for entry in &commit.entries {
            let at = self.at(unit_of(entry)).key(key_of(entry));
            match *entry {
                TableEntry::Block { key, sequence, birth, .. } => {
                    let is_new = birth == sequence;
                    let names_old_place = |other: &TableEntry| {
                        matches!(other, TableEntry::Tombstone { key: other, birth: named, .. }
                            if *other == key && *named == birth)
                    };
                    let is_right = is_new || commit.entries.iter().any(names_old_place);
                    self.survey.findings.expect(is_right, FindingKind::MoveWithoutTombstone, at, || {
                        format!("block {key} was stored first with sequence {birth}, and nothing names the place that it had then")
                    })?;
                }
                TableEntry::Tombstone { target_zone, target_incarnation, birth, .. } => {
                    let is_possible = target_zone < self.label.zone_count
                        && target_incarnation <= header.sequence
                        && birth <= header.sequence
                        && birth >= 1
                        && !self.label.label_zones.contains(&target_zone)
                        && !self.label.is_checkpoint_zone(target_zone);
                    self.survey.findings.expect(is_possible, FindingKind::TombstoneContradicts, at, || {
                        format!("a tombstone that was written with sequence {} or before cannot be: {entry:?}", header.sequence)
                    })?;
                }
            }
        }
        Ok(())
    }

    fn check_payloads(&mut self, pending: &Pending) -> Result<(), Halt> {
        for member in pending.members.iter().filter(|member| member.header.kind == RecordKind::Block) {
            let header = &member.header;
            let read = self.survey.reader.record(self.scope.zone, header)?.map(<[u8]>::len);
            match read {
                Ok(bytes) => self.survey.counts.payload_bytes += bytes as u64,
                Err(why) => {
                    let at = self.at(header.unit_offset).key(header.key);
                    let what = format!("block {} is damaged: {why}", header.key);
                    self.survey.findings.add(FindingKind::PayloadDamaged, at, what)?;
                }
            }
        }
        Ok(())
    }

    /// Notes the group, to be held against those of other zones.
    fn number(&mut self, header: &RecordHeader, commit: &Commit) -> Result<(), Halt> {
        let row = GroupRow {
            first_sequence: commit.first_sequence,
            last_sequence: header.sequence,
            group: commit.group,
            place: Place::new(self.scope.zone, header.unit_offset),
        };
        self.log.last_group = commit.group;
        self.survey.counts.groups += 1;
        let ledger = &mut self.survey.ledger;
        ledger.budget.push(&mut ledger.groups, row)
    }
}

/// Whether a whole group with its commit may have stood before the records of this one, where nothing checks out now.
fn may_hide_group(commit: &Commit, pending: &Pending) -> bool {
    let members = pending.members.iter().map(|member| member.header.unit_offset);
    let first = members.chain(commit.entries.iter().map(unit_of)).min().unwrap_or(u32::MAX);
    !pending.damaged_commits.is_empty() || pending.gaps.iter().any(|gap| gap.start < first)
}

pub(super) fn unit_of(entry: &TableEntry) -> u32 {
    match entry {
        TableEntry::Block { unit_offset, .. } | TableEntry::Tombstone { unit_offset, .. } => *unit_offset,
    }
}

pub(super) fn key_of(entry: &TableEntry) -> crate::Key {
    match entry {
        TableEntry::Block { key, .. } | TableEntry::Tombstone { key, .. } => *key,
    }
}
