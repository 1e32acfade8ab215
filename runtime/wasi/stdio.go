package wasi

import (
	"io"

	"policy-server/runtime/sandbox"
)

// queue is a guest's stdin: first its payload, then what the host answers to its host calls. An
// empty queue reads as the end of the file each time, and has data again once something was
// appended.
type queue struct {
	parts  [][]byte
	unread int
}

func (q *queue) append(b []byte) {
	if len(b) > 0 {
		q.parts = append(q.parts, b)
		q.unread += len(b)
	}
}

func (q *queue) Read(p []byte) (int, error) {
	if len(q.parts) == 0 {
		return 0, io.EOF
	}
	n := copy(p, q.parts[0])
	q.unread -= n
	if q.parts[0] = q.parts[0][n:]; len(q.parts[0]) == 0 {
		q.parts = q.parts[1:]
	}
	return n, nil
}

// stdout collects a guest's answer. Over the limit the guest is ended: a part of an answer is none.
type stdout struct {
	limit  int
	answer []byte
}

func (w *stdout) Write(p []byte) (int, error) {
	if len(p) > w.limit-len(w.answer) {
		sandbox.Trap("answer exceeds the limit of %d bytes", w.limit)
	}
	w.answer = append(w.answer, p...)
	return len(p), nil
}
