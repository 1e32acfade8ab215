package sandbox

// Operation is what a guest is asked to do.
type Operation string

// Question is what a guest is asked. Operations and documents mean something to guest and caller
// only.
type Question struct {
	Operation Operation
	Payload   []byte // the document it is about; only read
}

// Answer is what a guest that ended well leaves behind.
type Answer struct {
	Payload []byte // the answer itself, the caller's to keep; its meaning is between guest and caller
	Printed string // what the guest printed besides, its end if it was too much, with a note saying so
}
