mod bytes;
mod model;
mod rounds;
