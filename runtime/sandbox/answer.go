package sandbox

// Answer is what a guest that ended well leaves behind.
type Answer struct {
	Payload []byte // the answer itself, the caller's to keep; its meaning is between guest and caller
	Printed string // what the guest printed besides, its end if it was too much, with a note saying so
}
