mod c14n;
mod gateway;
