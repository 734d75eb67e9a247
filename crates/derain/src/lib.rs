//! Takes rain out of pictures.
