
mod c14n;
mod xades;
