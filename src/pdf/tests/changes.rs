//! What came after a signature, and byte ranges that hide something.
