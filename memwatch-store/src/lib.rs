//! Where memwatch keeps recordings.
