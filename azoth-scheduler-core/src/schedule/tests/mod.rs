//! What the tests of several modules share, and properties of the whole.

mod model;
mod oracle;
mod properties;
