package server

import (
	"net/http"

	"go.uber.org/zap"

	"policy-server/policy"
)

// LogEvaluations returns the observer that writes to log the one line an evaluation with a verdict
// gets. A request without one gets its line where it is answered.
func LogEvaluations(log *zap.Logger) policy.Observer {
	return func(e *policy.Event) {
		if e.Err == nil {
			log.Info("finished processing request", eventFields(e)...)
		}
	}
}

func eventFields(e *policy.Event) []zap.Field {
	request, response := e.Request, &e.Response
	namespace, _ := request.Namespace()
	fields := make([]zap.Field, 0, 16)
	fields = append(fields,
		zap.String("policy_id", string(e.Policy)), zap.String("uri", uriOf(e)), zap.String("request_uid", request.UID()),
		zap.String("kind", request.Kind()), zap.String("namespace", namespace), zap.String("name", request.Name()),
		zap.String("operation", request.Operation()), zap.Bool("allowed", response.Allowed), zap.Bool("mutated", response.Patch != nil),
	)
	if status := response.Status; status != nil {
		if status.Code != nil {
			fields = append(fields, zap.Int32("response_code", *status.Code))
		}
		if status.Message != nil {
			fields = append(fields, zap.String("response_message", *status.Message))
		}
	}
	return append(fields, zap.Int("host_calls", e.HostCalls), zap.Int("status", http.StatusOK),
		zap.Duration("waited", e.Waited), zap.Duration("latency", e.Waited+e.Ran))
}

// uriOf is the path by which the request came.
func uriOf(e *policy.Event) string {
	switch {
	case e.Origin == policy.FromAudit:
		return "/audit/" + string(e.Policy)
	case e.Request.IsRaw():
		return "/validate_raw/" + string(e.Policy)
	}
	return "/validate/" + string(e.Policy)
}
