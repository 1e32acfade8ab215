package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"policy-server/jsontext"
	"policy-server/policy"
)

// somethingWrong is all a client learns of a failure inside the server; the log has the rest.
const somethingWrong = "Something went wrong"

var (
	errNotUTF8 = errors.New("Invalid URL: Invalid UTF-8 in `policy_id`")
	errNotJSON = errors.New("Expected request with `Content-Type: application/json`")
)

// bodyError reports a body that could not be read to its end.
type bodyError struct{ err error }

func (e *bodyError) Error() string { return "Failed to buffer the request body: " + e.err.Error() }
func (e *bodyError) Unwrap() error { return e.err }

// failure is a failed call: the API server gets no verdict, and its failurePolicy decides.
type failure struct {
	status  int
	message string
}

// failureOf is the table that says what a client sees of each error. It is the only place that
// decides this.
//
// Errors that are verdicts never come here. A guest that traps, answers nonsense or runs out of
// time, and a policy that could not be loaded, are refusals: HTTP 200 with a review that has the
// request's UID and code 500 (package policy).
func failureOf(err error) failure {
	var (
		tooLarge *http.MaxBytesError
		body     *bodyError
		syntax   *jsontext.SyntaxError
		shape    *jsontext.ShapeError
		invalid  *policy.InvalidIDError
		unknown  *policy.UnknownError
		busy     *policy.BusyError
		traffic  *trafficError
	)
	switch {
	case errors.Is(err, errNotUTF8), errors.As(err, &invalid):
		return failure{http.StatusBadRequest, err.Error()}
	case errors.Is(err, errNotJSON):
		return failure{http.StatusUnsupportedMediaType, err.Error()}
	case errors.As(err, &tooLarge):
		return failure{http.StatusRequestEntityTooLarge, "Failed to buffer the request body: length limit exceeded"}
	case errors.As(err, &body):
		return failure{http.StatusBadRequest, err.Error()}
	case errors.As(err, &syntax):
		return failure{http.StatusBadRequest, fmt.Sprintf("Failed to parse the request body as JSON: %v", err)}
	case errors.As(err, &shape):
		return failure{http.StatusUnprocessableEntity, fmt.Sprintf("Failed to deserialize the JSON body into the target type: %v", err)}
	case errors.As(err, &unknown):
		return failure{http.StatusNotFound, err.Error()}
	case errors.As(err, &busy) && !errors.Is(err, context.Canceled):
		return failure{http.StatusServiceUnavailable, withHint(busy)}
	case errors.As(err, &traffic):
		return failure{http.StatusServiceUnavailable, withHint(traffic)}
	case errors.Is(err, context.Canceled): // the client went away: nobody reads this
		return failure{statusClientGone, "client closed the request"}
	}
	return failure{http.StatusInternalServerError, somethingWrong}
}

// withHint is the text of an error that a client gets, with what its operator can do.
func withHint(err interface {
	error
	Hint() string
}) string {
	if hint := err.Hint(); hint != "" {
		return err.Error() + "; " + hint
	}
	return err.Error()
}

// statusClientGone is what logs conventionally call a request whose client did not wait.
const statusClientGone = 499

// writeFailure writes {"message":…,"status":…} with that status.
func (s *Server) writeFailure(w http.ResponseWriter, f failure) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	body := append(jsontext.AppendString([]byte(`{"message":`), f.message), `,"status":`...)
	status, _ := json.Marshal(f.status) // an int
	_ = s.deliver(w, append(append(body, status...), '}'))
}
