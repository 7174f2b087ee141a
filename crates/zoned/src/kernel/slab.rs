//! The operations in flight, in a table of fixed size: a slot's number is what the kernel is given to return.

/// A table of `slot_count` places.
pub(crate) struct Slab<T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Slab<T> {
    pub(crate) fn new(slot_count: u32) -> Self {
        Self { slots: (0..slot_count).map(|_| None).collect(), free: (0..slot_count).rev().collect() }
    }

    /// How many places are taken.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Puts `value` into a free place, and returns its number.
    ///
    /// # Errors
    ///
    /// Hands the value back where no place is free.
    pub(crate) fn insert(&mut self, value: T) -> Result<u32, T> {
        let Some(slot) = self.free.pop() else { return Err(value) };
        self.slots[slot as usize] = Some(value);
        Ok(slot)
    }

    pub(crate) fn get(&self, slot: u32) -> Option<&T> {
        self.slots.get(slot as usize)?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    pub(crate) fn remove(&mut self, slot: u32) -> Option<T> {
        let value = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::Slab;

    #[test]
    fn a_slab_takes_as_many_as_it_has_places_and_each_leaves_once() {
        let mut slab = Slab::new(2);
        let (first, second) = (slab.insert('a').unwrap(), slab.insert('b').unwrap());
        assert_eq!(slab.insert('c'), Err('c'));
        assert_eq!(slab.len(), 2);
        assert_eq!(slab.remove(first), Some('a'));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.remove(7), None);
        assert_eq!(slab.insert('c'), Ok(first));
        assert_eq!((slab.len(), slab.get_mut(second).copied()), (2, Some('b')));
    }
}
