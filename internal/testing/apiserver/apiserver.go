// Package apiserver looks at responses with the API server's eyes: it decodes them with its own
// types and holds them to the rules by which it accepts a webhook's answer.
package apiserver

import (
	"encoding/json"
	"testing"

	jsonpatch "github.com/evanphx/json-patch/v5"
	admissionv1 "k8s.io/api/admission/v1"
)

// Check decodes response, the answer to the AdmissionReview review, and fails the test unless an
// API server would take it: v1 and of the right kind, the request's UID, a patch exactly with its
// type, a refusal's code from 400 up. It returns the response.
func Check(t testing.TB, review, response []byte) *admissionv1.AdmissionResponse {
	t.Helper()
	var asked, answered admissionv1.AdmissionReview
	if err := json.Unmarshal(review, &asked); err != nil {
		t.Fatalf("review: %v", err)
	}
	if err := json.Unmarshal(response, &answered); err != nil {
		t.Fatalf("response %s: %v", response, err)
	}
	if answered.Kind != "AdmissionReview" || answered.APIVersion != "admission.k8s.io/v1" || answered.Response == nil {
		t.Fatalf("response is no AdmissionReview of admission.k8s.io/v1: %s", response)
	}
	r := answered.Response
	if asked.Request != nil && r.UID != asked.Request.UID {
		t.Errorf("response has uid %q, the request %q", r.UID, asked.Request.UID)
	}
	if (r.Patch == nil) != (r.PatchType == nil) || r.PatchType != nil && *r.PatchType != admissionv1.PatchTypeJSONPatch {
		t.Errorf("patch and patchType do not belong together: %s", response)
	}
	if !r.Allowed && r.Result != nil && r.Result.Code != 0 && r.Result.Code < 400 {
		t.Errorf("refused with code %d", r.Result.Code)
	}
	return r
}

// Patched returns object after response's patch, as the API server would store it.
func Patched(t testing.TB, response *admissionv1.AdmissionResponse, object []byte) []byte {
	t.Helper()
	patch, err := jsonpatch.DecodePatch(response.Patch)
	if err != nil {
		t.Fatalf("patch %s: %v", response.Patch, err)
	}
	patched, err := patch.Apply(object)
	if err != nil {
		t.Fatalf("patch %s does not apply: %v", response.Patch, err)
	}
	return patched
}
