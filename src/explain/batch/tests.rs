//! Tables of the batch form.
