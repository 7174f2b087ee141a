//! The place of a drive in its enclosure, and the lights on it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Answer of `GET /v1/drives/{id}/slot`: where a person finds the drive.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Slot {
    /// The enclosure, by the kernel's name of it, for example `0:0:30:0`.
    pub enclosure: String,
    /// The enclosure's own identifier, for example `0x500304801f1e8d3f`.
    pub enclosure_id: Option<String>,
    /// What the enclosure calls the slot, for example `Slot 07`.
    pub name: String,
    /// The slot's number.
    pub number: Option<u32>,
    /// How the enclosure finds what sits in it, in the kernel's words, for example `OK` or `critical`.
    pub status: Option<String>,
    /// Whether the light that shows a person the drive is on.
    pub locate: Option<bool>,
    /// Whether the light that says "faulty" is on.
    pub fault: Option<bool>,
}

/// Body of `PUT /v1/drives/{id}/locate` and `PUT /v1/drives/{id}/fault`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct LightOrder {
    /// Whether the light is to be on.
    pub on: bool,
}
