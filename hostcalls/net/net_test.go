package net_test

import (
	"context"
	"strings"
	"testing"

	"policy-server/hostcalls/net"
)

func TestLookupHost(t *testing.T) {
	for payload, want := range map[string]string{
		`"127.0.0.1"`: `{"ips":["127.0.0.1"]}`,
		`"::1"`:       `{"ips":["::1"]}`,
	} {
		got, err := net.LookupHost(t.Context(), []byte(payload))
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", payload, got, err, want)
		}
	}
	if got, err := net.LookupHost(t.Context(), []byte(`"localhost"`)); err != nil || !strings.Contains(string(got), `1"`) {
		t.Errorf("localhost: %s, %v", got, err)
	}
}

func TestLookupHost_fails(t *testing.T) {
	for payload, want := range map[string]string{
		`nonsense`: "decode host name: ",
		`{"a":1}`:  "decode host name: ",
		`""`:       "Callback evaluation failure: failed to lookup address information: ",
	} {
		if got, err := net.LookupHost(t.Context(), []byte(payload)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: %s, %v; want %s…", payload, got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := net.LookupHost(ctx, []byte(`"registry.example"`)); err == nil {
		t.Errorf("cancelled: %v", err)
	}
}
