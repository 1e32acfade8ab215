package session

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"policy-server/hostcalls"
)

// Replayer answers host calls from a session file, strictly in order. It is safe for concurrent
// use.
type Replayer struct {
	mu   sync.Mutex
	left []exchange
}

// Parse reads a session file and returns what replays it. Requests that are not of a known variant,
// or lack what theirs requires, are errors; unknown keys are ignored.
func Parse(data []byte) (*Replayer, error) {
	exchanges, err := parseSession(data)
	if err != nil {
		return nil, err
	}
	return &Replayer{left: exchanges}, nil
}

// Through is for hostcalls.Dispatcher.With: it answers from the file, and performs nothing.
func (r *Replayer) Through(hostcalls.Performer) hostcalls.Performer {
	return func(_ context.Context, request hostcalls.Request) ([]byte, error) { return r.answer(request.Question) }
}

var errNoExchangeLeft = errors.New("the list of recorded responses is empty")

// UnexpectedError reports a host call that is not the one the session file has next.
type UnexpectedError struct{ Expected, Got string }

func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("Replay error: unexpected request. Was expecting %s, got %s instead", e.Expected, e.Got)
}

// answer uses up the next exchange, whether or not it is about this question.
func (r *Replayer) answer(asked hostcalls.Question) ([]byte, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.left) == 0 {
		return nil, errNoExchangeLeft
	}
	next := r.left[0]
	r.left = r.left[1:]
	switch {
	case !next.asks(asked):
		expected, err := next.request.YAML()
		if err != nil {
			return nil, err
		}
		got, err := textOf(asked)
		if err != nil {
			return nil, err
		}
		return nil, &UnexpectedError{expected, got}
	case next.failure != nil:
		return nil, errors.New(*next.failure)
	}
	return []byte(next.payload), nil
}

// Left returns how many exchanges nobody has asked for.
func (r *Replayer) Left() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.left)
}
