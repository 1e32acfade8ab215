package session

import (
	"context"
	"errors"
	"sync"
	"unicode/utf8"

	"policy-server/hostcalls"
)

// Recorder writes down the host calls that a dispatcher makes, for a session file. Its zero value
// is ready, and safe for concurrent use.
type Recorder struct {
	mu        sync.Mutex
	exchanges []hostcalls.Fields
	err       error
}

// Through is for hostcalls.Dispatcher.With: it answers as next does, and writes down what that
// performed.
func (r *Recorder) Through(next hostcalls.Performer) hostcalls.Performer {
	return func(ctx context.Context, request hostcalls.Request) ([]byte, error) {
		answer, err := next(ctx, request)
		r.note(request.Question, answer, err)
		return answer, err
	}
}

var errNotText = errors.New("the answer to a host call is not UTF-8, which a session file cannot hold")

func (r *Recorder) note(asked hostcalls.Question, answer []byte, failure error) {
	text, err := textOf(asked)
	if err == nil && failure == nil && !utf8.Valid(answer) {
		err = errNotText
	}
	outcome, key, content := "Success", "payload", string(answer)
	if failure != nil {
		outcome, key, content = "Error", "message", failure.Error()
	}
	response := hostcalls.Fields{{Name: "type", Value: outcome}, {Name: key, Value: content}}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
	r.exchanges = append(r.exchanges, hostcalls.Fields{
		{Name: "type", Value: "Exchange"}, {Name: "request", Value: text}, {Name: "response", Value: response},
	})
}

// Session returns the session file of everything so far, or why it cannot be written.
func (r *Recorder) Session() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	text, err := list(r.exchanges).YAML()
	return []byte(text), err
}
