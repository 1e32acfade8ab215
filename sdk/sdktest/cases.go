package sdktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"policy-server/sdk"
)

// RunCases runs every folder in directory as a test of its own, without answering host calls. See
// Host.RunCase.
func RunCases(t *testing.T, directory string) {
	t.Helper()
	Host(nil).RunCases(t, directory)
}

// RunCases runs every folder in directory as a test of its own. See RunCase.
func (h Host) RunCases(t *testing.T, directory string) {
	t.Helper()
	cases, err := os.ReadDir(directory)
	if err != nil {
		t.Fatal(err)
	}
	if len(cases) == 0 {
		t.Fatalf("no cases in %q", directory)
	}
	for _, c := range cases {
		t.Run(c.Name(), func(t *testing.T) {
			if err := h.RunCase(filepath.Join(directory, c.Name())); err != nil {
				t.Error(err)
			}
		})
	}
}

// RunCase runs the policy on the case in folder and returns how it differs from what is expected;
// nil when it does not. A case holds settings.json and either
//
//	request.json    as for Evaluate
//	response.json   the AdmissionResponse expected, as `policyctl run` prints it, but with the patch as the
//	                JSON Patch document (RFC 6902) that it encodes
//
// or error.txt, what the check of the settings must say. The same folders serve tests of the built
// module.
func (h Host) RunCase(folder string) error {
	settings, err := os.ReadFile(filepath.Join(folder, "settings.json"))
	if err != nil {
		return err
	}
	complaint := h.CheckSettings(string(settings))
	expected, err := os.ReadFile(filepath.Join(folder, "error.txt"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if complaint != nil {
			return fmt.Errorf("settings are refused: %w", complaint)
		}
		return h.compare(folder, string(settings))
	case err != nil:
		return err
	case complaint == nil:
		return fmt.Errorf("settings are accepted, expected\n%s", expected)
	case complaint.Error() != strings.TrimSpace(string(expected)):
		return fmt.Errorf("settings are refused with\n%w\nexpected\n%s", complaint, expected)
	}
	return nil
}

// compare evaluates the request in folder and compares the response with the one there.
func (h Host) compare(folder, settings string) error {
	request, err := os.ReadFile(filepath.Join(folder, "request.json"))
	if err != nil {
		return err
	}
	expected, err := os.ReadFile(filepath.Join(folder, "response.json"))
	if err != nil {
		return err
	}
	answer, err := h.Evaluate(string(request), settings)
	if err != nil {
		return err
	}
	got, err := response(string(request), answer)
	if err != nil {
		return err
	}
	want, err := decodeExact(expected)
	if err != nil {
		return fmt.Errorf("response.json: %w", err)
	}
	if made, err := decodeExact(got); err != nil || !reflect.DeepEqual(made, want) {
		return fmt.Errorf("response is\n%s\nexpected\n%s", got, expected)
	}
	return nil
}

// response returns the AdmissionResponse that the host makes of an answer, with the patch decoded.
func response(request string, answer Answer) ([]byte, error) {
	seen, err := unwrap(request)
	if err != nil {
		return nil, err
	}
	uid, _ := seen.Get("uid").Text()
	made := map[string]any{
		"uid": uid, "allowed": answer.Accepted,
		"auditAnnotations": answer.AuditAnnotations, "warnings": answer.Warnings,
	}
	status := map[string]any{}
	if answer.Message != "" {
		status["message"] = answer.Message
	}
	if answer.Code != 0 {
		status["code"] = answer.Code
	}
	if len(status) > 0 {
		made["status"] = status
	}
	patch, err := patchOf(request, seen, answer.MutatedObject)
	if err != nil {
		return nil, err
	}
	if len(patch) > 0 {
		made["patchType"], made["patch"] = "JSONPatch", patch
	}
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	err = encoder.Encode(made)
	return text.Bytes(), err
}

// patchOf returns the difference from what the policy was asked about: the object of a review, the
// whole of any other request.
func patchOf(request string, seen sdk.Value, mutated []byte) ([]patchStep, error) {
	if mutated == nil {
		return nil, nil
	}
	if isReview(sdk.JSON(request)) {
		seen = seen.Get("object")
	}
	if !seen.Exists() {
		return nil, errors.New("policy mutates an object that is not there, which the host refuses")
	}
	return diff([]byte(seen.Raw()), mutated)
}
