// Package sdktest runs the policy that a program registers with package sdk, in an ordinary Go
// test: no WebAssembly, no server. It plays the host: it makes the payloads, answers host calls,
// and reads the answers. It does not know modes, grants or other things that a policy's definition
// adds to its verdict.
//
// Its functions may be called from several goroutines; calls of the policy wait for each other, as
// each guest serves one.
package sdktest

import (
	"encoding/json"
	"errors"
	"fmt"

	"policy-server/sdk"
	"policy-server/sdk/internal/wapc"
)

// A Host answers the policy's host calls during a test. Its errors reach the policy as an
// *sdk.HostError with their text. A nil Host swallows tracing/log and refuses everything else.
type Host func(namespace, operation string, payload sdk.Value) (sdk.Value, error)

// An Answer is what a policy said about a request.
type Answer struct {
	Accepted         bool              `json:"accepted"`
	Message          string            `json:"message"`
	Code             uint16            `json:"code"` // 0 when the policy gave none
	MutatedObject    json.RawMessage   `json:"mutated_object"`
	AuditAnnotations map[string]string `json:"audit_annotations"`
	Warnings         []string          `json:"warnings"`
}

// Evaluate runs the policy on a request without answering host calls. See Host.Evaluate.
func Evaluate(request, settings string) (Answer, error) { return Host(nil).Evaluate(request, settings) }

// CheckSettings runs the policy's check of its settings without answering host calls. See
// Host.CheckSettings.
func CheckSettings(settings string) error { return Host(nil).CheckSettings(settings) }

// Evaluate runs the policy on a request, in JSON: an AdmissionReview, the request of one, or for
// raw policies any document. Of a review's request the policy sees what the host would pass: no
// members that are null. settings is a JSON object; empty means {}. The error is the guest's, when
// the policy failed or panicked, or says what is wrong with the arguments.
func (h Host) Evaluate(request, settings string) (Answer, error) {
	seen, err := unwrap(request)
	if err != nil {
		return Answer{}, err
	}
	object, err := settingsObject(settings)
	if err != nil {
		return Answer{}, err
	}
	text, err := h.call("validate", `{"request":`+seen.Raw()+`,"settings":`+object.Raw()+`}`)
	if err != nil {
		return Answer{}, err
	}
	var answer Answer
	if err := json.Unmarshal(text, &answer); err != nil {
		return Answer{}, fmt.Errorf("answer %q: %w", text, err)
	}
	return answer, nil
}

// CheckSettings runs the policy's check of settings, a JSON object; empty means {}. The error says
// what the policy has against them, or is the guest's, as for Evaluate.
func (h Host) CheckSettings(settings string) error {
	object, err := settingsObject(settings)
	if err != nil {
		return err
	}
	text, err := h.call("validate_settings", object.Raw())
	if err != nil {
		return err
	}
	var answer struct {
		Valid   bool   `json:"valid"`
		Message string `json:"message"`
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return fmt.Errorf("answer %q: %w", text, err)
	}
	if !answer.Valid {
		return errors.New(answer.Message)
	}
	return nil
}

func (h Host) call(operation, payload string) ([]byte, error) {
	answer, err := wapc.Call(h.answer, operation, payload)
	if err != nil {
		return nil, fmt.Errorf("guest call failure: %w", err)
	}
	return answer, nil
}

func (h Host) answer(namespace, operation, payload string) (string, error) {
	if h != nil {
		answer, err := h(namespace, operation, sdk.JSON(payload))
		return answer.Raw(), err
	}
	if namespace == "tracing" {
		return "", nil
	}
	return "", fmt.Errorf("nothing answers %s/%s in this test", namespace, operation)
}

// unwrap returns what the policy sees of a request.
func unwrap(text string) (sdk.Value, error) {
	document := sdk.JSON(text)
	if !document.Exists() {
		return sdk.Value{}, errors.New("request is not JSON")
	}
	if !isReview(document) {
		return document, nil
	}
	request, err := withoutNulls(document.Get("request"))
	if err != nil {
		return sdk.Value{}, err
	}
	user, err := withoutNulls(request.Get("userInfo"))
	if err != nil {
		return sdk.Value{}, err
	}
	return sdk.Set(request, user, "userInfo")
}

func isReview(document sdk.Value) bool { return document.Get("kind").Is("AdmissionReview") }

func withoutNulls(object sdk.Value) (_ sdk.Value, err error) {
	if object.Kind() != sdk.Object {
		return sdk.Value{}, errors.New("review lacks request or userInfo")
	}
	kept := object
	for name, value := range object.Fields() {
		if !value.IsNull() {
			continue
		}
		if kept, err = sdk.Delete(kept, name); err != nil {
			return sdk.Value{}, err
		}
	}
	return kept, nil
}

func settingsObject(text string) (sdk.Value, error) {
	if text == "" {
		text = "{}"
	}
	settings := sdk.JSON(text)
	if settings.Kind() != sdk.Object {
		return sdk.Value{}, errors.New("settings are not a JSON object")
	}
	return settings, nil
}
