//! Many small exports from servers of every kind.
