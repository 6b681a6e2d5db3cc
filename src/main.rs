//! The binary: argv to exit code.

/// Gives memory back and costs less CPU than glibc's; tuned at build time in `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() {}
