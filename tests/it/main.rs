

mod forms;
