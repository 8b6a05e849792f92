mod bytes;
mod model;
mod rounds;
mod withholding;
