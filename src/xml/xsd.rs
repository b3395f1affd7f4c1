//! XSD 1.0 validation.
