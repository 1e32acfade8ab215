package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// explain shows why the unsigned policy is not served and what to try with the others.
func (d *demo) explain(ctx context.Context) {
	d.say("Ready on http://127.0.0.1:%d (readiness on http://127.0.0.1:%d/readiness).", d.port, d.readiness)
	if reason, err := d.ask(ctx, unsigned); err != nil {
		d.say("asking for %s: %v", unsigned, err)
	} else {
		d.say("%s is unsigned, so it was refused before anything of it was compiled:\n\n%s\n", unsigned, indent(reason))
	}
	fmt.Fprintf(d.out, "Try, in another terminal in this folder:\n\n")
	for _, try := range []struct{ comment, policy, request string }{
		{"a privileged Pod is denied", "validate/pod-privileged", "policies-examples/pod-privileged/cases/pod_privileged/request.json"},
		{"an ordinary Pod is allowed", "validate/pod-privileged", "policies-examples/pod-privileged/cases/pod_accepted/request.json"},
		{"a Pod without a seccomp profile gets one: a JSON patch, base64", "validate/default-seccomp", "policies-examples/default-seccomp/cases/pod_mutated/request.json"},
		{"the policy that was refused", "validate/" + unsigned, "policies-examples/pod-privileged/cases/pod_accepted/request.json"},
	} {
		fmt.Fprintf(d.out, "  # %s\n  curl -s -H 'Content-Type: application/json' --data @%s http://127.0.0.1:%d/%s\n\n", try.comment, try.request, d.port, try.policy)
	}
	fmt.Fprintf(d.out, "  # JSON that is not Kubernetes'\n  curl -s -H 'Content-Type: application/json' --data '%s' http://127.0.0.1:%d/validate_raw/raw-quota\n\n",
		`{"request":{"user":"tonio","resource":"cpu","amount":64}}`, d.port)
	fmt.Fprintf(d.out, "Ctrl-C stops everything and removes %s.\n", d.folder)
}

// ask posts a small review to policy name and returns the message of its refusal.
func (d *demo) ask(ctx context.Context, name string) (string, error) {
	review := []byte(`{"request":{"uid":"demo","kind":{"group":"","version":"v1","kind":"Pod"},"resource":{"group":"","version":"v1","resource":"pods"},"operation":"CREATE","userInfo":{}}}`)
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/validate/%s", d.port, name), bytes.NewReader(review))
	if err != nil {
		return "", err
	}
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	var refusal struct {
		Response struct {
			Allowed bool
			Status  struct{ Message string }
		}
	}
	if err := json.Unmarshal(body, &refusal); err != nil || refusal.Response.Allowed || refusal.Response.Status.Message == "" {
		return "", fmt.Errorf("not the refusal expected: %s", body)
	}
	return refusal.Response.Status.Message, nil
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }

// indent moves every line of text to the right, as YAML and readers want it.
func indent(text string) string {
	return "      " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n      ")
}
