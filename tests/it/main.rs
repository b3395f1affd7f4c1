
mod c14n;
mod sandbox;
