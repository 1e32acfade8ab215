package dns_test

import (
	"context"
	"strings"
	"testing"

	"policy-server/hostcalls/dns"
)

func lookup(ctx context.Context, payload string) (string, error) {
	request, err := dns.LookupHost().Understand([]byte(payload))
	if err != nil {
		return "", err
	}
	answer, err := request.Perform(ctx)
	return string(answer), err
}

func TestLookupHost(t *testing.T) {
	for payload, want := range map[string]string{
		`"127.0.0.1"`: `{"ips":["127.0.0.1"]}`,
		`"::1"`:       `{"ips":["::1"]}`,
	} {
		got, err := lookup(t.Context(), payload)
		if err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", payload, got, err, want)
		}
	}
	if got, err := lookup(t.Context(), `"localhost"`); err != nil || !strings.Contains(got, `1"`) {
		t.Errorf("localhost: %s, %v", got, err)
	}
}

func TestLookupHost_fails(t *testing.T) {
	for payload, want := range map[string]string{
		`nonsense`: "decode host name: ",
		`{"a":1}`:  "decode host name: ",
		`""`:       "failed to lookup address information: ",
	} {
		if got, err := lookup(t.Context(), payload); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s…", payload, got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lookup(ctx, `"registry.example"`); err == nil {
		t.Errorf("cancelled: %v", err)
	}
}
