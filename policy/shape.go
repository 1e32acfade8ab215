package policy

import (
	"fmt"
	"strings"

	"go.uber.org/zap"

	"policy-server/admission"
)

// shape turns a policy's verdict into what the client is told. The order is fixed:
//
//  1. A monitoring policy lets everything pass: the verdict is logged, then patch and status are
//     dropped. Nothing else follows.
//  2. A mutation by a policy that may not mutate becomes a refusal, whatever the verdict was.
//  3. A refusal with a configured message says that message, the former one becomes its cause. This
//     covers step 2 and refusals for a guest's failure.
func (p *Policy) shape(response admission.Response) admission.Response {
	if p.Mode == Monitor {
		p.log.Info("policy evaluation (monitor mode)", zap.String("policy_id", string(p.ID)),
			zap.Bool("allowed_to_mutate", p.AllowedToMutate), zap.String("response", dump(response)))
		response.Allowed, response.Patch, response.Status = true, nil, nil
		return response
	}
	if response.Mutates && !p.AllowedToMutate {
		message := fmt.Sprintf("Request rejected by policy %s. The policy attempted to mutate the request, but it is currently configured to not allow mutations.", p.ID)
		response.Allowed, response.Patch, response.Status = false, nil, &admission.Status{Message: &message}
	}
	if p.Message != nil && !response.Allowed {
		response.Status = replaceMessage(response.Status, *p.Message)
	}
	return response
}

// tellsPatch tells whether anybody learns what the policy would mutate: not where that it would is
// reason enough to refuse the request.
func (p *Policy) tellsPatch(origin Origin) bool {
	return p.AllowedToMutate || p.Mode == Monitor || origin == FromAudit
}

// maxMessage is how many bytes of a message a client is told. No policy says as much to a user, but
// a guest that fails may have megabytes of it, which quoted are six times as many.
const maxMessage = 64 << 10

// bounded cuts a message that is too long, and says so in it.
func bounded(response admission.Response) admission.Response {
	if response.Status == nil || response.Status.Message == nil || len(*response.Status.Message) <= maxMessage {
		return response
	}
	text := *response.Status.Message
	kept := strings.ToValidUTF8(text[:maxMessage], "")
	message := fmt.Sprintf("%s [%d bytes cut]", kept, len(text)-len(kept))
	status := *response.Status
	status.Message, response.Status = &message, &status
	return response
}

// replaceMessage returns status with message, and its former message (or "") as a further cause.
func replaceMessage(status *admission.Status, message string) *admission.Status {
	var replaced admission.Status
	var former string
	if status != nil {
		replaced = *status
		if status.Message != nil {
			former = *status.Message
		}
	}
	var details admission.Details
	if replaced.Details != nil {
		details = *replaced.Details
	}
	details.Causes = append(details.Causes[:len(details.Causes):len(details.Causes)], admission.Cause{Message: &former})
	replaced.Message, replaced.Details = &message, &details
	return &replaced
}

// dump prints response on one line, in the form upstream's log has and log searches look for
// ("allowed: false").
func dump(r admission.Response) string {
	patchType, patch, status := "None", "None", "None"
	if r.Patch != nil {
		patchType, patch = "Some(JSONPatch)", fmt.Sprintf("Some(%q)", r.Patch)
	}
	if s := r.Status; s != nil {
		code := "None"
		if s.Code != nil {
			code = fmt.Sprintf("Some(%d)", *s.Code)
		}
		status = fmt.Sprintf("Some(AdmissionResponseStatus { status: %s, message: %s, reason: %s, details: %s, code: %s })",
			option(s.Status), option(s.Message), option(s.Reason), causes(s.Details), code)
	}
	annotations, warnings := "None", "None"
	if r.AuditAnnotations != nil {
		annotations = fmt.Sprintf("Some(%q)", r.AuditAnnotations)
	}
	if r.Warnings != nil {
		warnings = fmt.Sprintf("Some(%q)", r.Warnings)
	}
	return fmt.Sprintf("AdmissionResponse { uid: %q, allowed: %t, patch_type: %s, patch: %s, status: %s, audit_annotations: %s, warnings: %s }",
		r.UID, r.Allowed, patchType, patch, status, annotations, warnings)
}

func option(s *string) string {
	if s == nil {
		return "None"
	}
	return fmt.Sprintf("Some(%q)", *s)
}

func causes(details *admission.Details) string {
	if details == nil {
		return "None"
	}
	var printed []string
	for _, cause := range details.Causes {
		printed = append(printed, option(cause.Message))
	}
	return "Some([" + strings.Join(printed, ", ") + "])"
}
