//! Every decision, told step by step.
