package admission

import "context"

// mutatedNothing is what upstream's server answers, and policy test suites expect, when a policy
// changes an object that is not there.
const mutatedNothing = "Incoming object is null, which happens only with DELETE operations, but the policy is attempting a mutation. This is not allowed"

// Respond turns a guest's answer to r into the response: status when there is a message or a code,
// whatever the verdict, and the patch from r's baseline to the mutated object when the two differ:
// without patch only that they do. A mutation of a request that has no object is refused. Errors
// are those of [Diff], to which ctx and turn go.
func Respond(ctx context.Context, r *Request, answer Answer, patch bool, turn Turn) (Response, error) {
	response := Response{
		UID:              r.UID(),
		Allowed:          answer.Accepted,
		AuditAnnotations: answer.AuditAnnotations,
		Warnings:         answer.Warnings,
	}
	if answer.Message != nil || answer.Code != nil {
		response.Status = &Status{Message: answer.Message, Code: answer.Code}
	}
	if answer.MutatedObject == nil {
		return response, nil
	}
	before := r.Baseline()
	if before == nil {
		message := mutatedNothing
		return Response{UID: response.UID, Status: &Status{Message: &message}}, nil
	}
	var err error
	if patch {
		response.Patch, err = Diff(ctx, before, answer.MutatedObject, turn)
		response.Mutates = response.Patch != nil
	} else {
		response.Mutates, err = Differ(ctx, before, answer.MutatedObject, turn)
	}
	if err != nil {
		return Response{}, err
	}
	return response, nil
}
