
mod c14n;
