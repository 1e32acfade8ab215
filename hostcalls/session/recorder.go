package session

import (
	"context"
	"errors"
	"sync"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"

	"policy-server/hostcalls"
)

// Recorder writes down the host calls that a dispatcher makes, for a session file. Its zero value is ready, and safe for
// concurrent use.
type Recorder struct {
	mu        sync.Mutex
	exchanges []exchangeDocument
	err       error
}

// Through is for hostcalls.Dispatcher.With: it answers as next does, and writes down what that performed.
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
	response := responseDocument{Type: "Success"}
	if payload := string(answer); failure == nil {
		response.Payload = &payload
	} else {
		message := failure.Error()
		response.Type, response.Message = "Error", &message
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = errors.Join(r.err, err)
	r.exchanges = append(r.exchanges, exchangeDocument{"Exchange", text, response})
}

// Session returns the session file of everything so far, or why it cannot be written.
func (r *Recorder) Session() ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return nil, r.err
	}
	if len(r.exchanges) == 0 {
		return []byte("[]\n"), nil
	}
	return yaml.Marshal(r.exchanges)
}
