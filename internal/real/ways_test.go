package real

import (
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// cosignSignatures returns every way in which cosign 2 and 3 sign.
func cosignSignatures(t *testing.T, services *sigstore, keys cosignKeys) []signature {
	noServices := filepath.Join(t.TempDir(), "none.json")
	command{args: []string{cosign3.path(), "signing-config", "create", "--out", noServices}}.must(t)

	byKey := signature{constraint: keyEntry(t, keys.public), other: keyEntry(t, keys.other)}
	byAlice := signature{
		constraint: issuerEntry(services.people.url, "equal", alice),
		other:      issuerEntry(services.people.url, "equal", "mallory@example.test"),
	}
	byWorkflow := signature{
		constraint: issuerEntry(services.workflows.url, "urlPrefix", "https://github.com/acme"),
		other:      issuerEntry(services.workflows.url, "urlPrefix", "https://github.com/acm"),
	}
	token := func(t *testing.T) string {
		return services.people.token(t, map[string]any{"email": alice, "email_verified": true, "sub": alice})
	}
	workflowToken := func(t *testing.T) string {
		return services.workflows.token(t, map[string]any{
			"sub": "repo:acme/app:ref:refs/heads/main", "event_name": "push", "sha": strings.Repeat("ab", 20),
			"workflow": "build", "repository": "acme/app", "ref": "refs/heads/main",
			"job_workflow_ref": "acme/app/.github/workflows/build.yml@refs/heads/main",
		})
	}
	cosign2Keyless := []string{"--fulcio-url", services.fulcioURL, "--rekor-url", services.rekorURL}
	ways := []struct {
		name   string
		kind   signature
		binary tool
		token  func(*testing.T) string
		args   []string
	}{
		{"cosign2-key-legacy", byKey, cosign2, nil, []string{"--key", keys.private, "--tlog-upload=false"}},
		{"cosign2-key-legacy-logged", byKey, cosign2, nil, []string{"--key", keys.private, "--rekor-url", services.rekorURL}},
		{"cosign2-key-bundle", byKey, cosign2, nil, []string{"--key", keys.private, "--tlog-upload=false", "--new-bundle-format"}},
		{"cosign2-keyless-legacy", byAlice, cosign2, token, cosign2Keyless},
		{"cosign2-keyless-bundle", byAlice, cosign2, token, append([]string{"--new-bundle-format"}, cosign2Keyless...)},
		{"cosign2-workflow-legacy", byWorkflow, cosign2, workflowToken, cosign2Keyless},
		{"cosign3-key-bundle", byKey, cosign3, nil, []string{"--key", keys.private, "--signing-config", noServices}},
		{"cosign3-key-bundle-logged", byKey, cosign3, nil, []string{"--key", keys.private, "--signing-config", services.signingConfig, "--trusted-root", services.trustedRoot}},
		{"cosign3-keyless-rekor2", byAlice, cosign3, token, []string{"--signing-config", services.signingConfig, "--trusted-root", services.trustedRoot}},
		{"cosign3-keyless-rekor1", byAlice, cosign3, token, []string{"--signing-config", services.rekor1Config, "--trusted-root", services.trustedRoot}},
		{"cosign3-workflow-rekor2", byWorkflow, cosign3, workflowToken, []string{"--signing-config", services.signingConfig, "--trusted-root", services.trustedRoot}},
	}
	var signatures []signature
	for _, way := range ways {
		s := way.kind
		s.name = way.name
		s.sign = func(t *testing.T, _, reference string) {
			args := append([]string{way.binary.path(), "sign", "-y"}, way.args...)
			if way.token != nil {
				args = append(args, "--identity-token", way.token(t))
			}
			command{env: append(services.variables(), password), args: append(args, reference)}.must(t)
		}
		signatures = append(signatures, s)
	}
	return append(signatures, unlogged(t, services, byAlice, token))
}

// unlogged is a keyless signature with a time stamp and no log entry: nobody could find out that it
// was made.
func unlogged(t *testing.T, services *sigstore, s signature, token func(*testing.T) string) signature {
	s.name, s.refused = "cosign2-keyless-unlogged", "transparency log"
	s.sign = func(t *testing.T, _, reference string) {
		command{env: services.variables(), args: []string{cosign2.path(), "sign", "-y", "--fulcio-url", services.fulcioURL,
			"--tlog-upload=false", "--timestamp-server-url", services.timestampURL, "--identity-token", token(t), reference}}.must(t)
	}
	return s
}

// variables tell cosign 2 whom to believe.
func (s *sigstore) variables() []string {
	return []string{"SIGSTORE_ROOT_FILE=" + s.caFile, "SIGSTORE_CT_LOG_PUBLIC_KEY_FILE=" + s.ctKey, "SIGSTORE_REKOR_PUBLIC_KEY=" + s.rekorKey}
}

func post(t *testing.T, url, body string) string {
	t.Helper()
	response, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// ourSignatures returns every way in which policyctl signs, each with the cosign that has to accept
// it.
func ourSignatures(t *testing.T, services *sigstore, keys cosignKeys) []signature {
	byKey := signature{constraint: keyEntry(t, keys.public), other: keyEntry(t, keys.other)}
	byAlice := signature{
		constraint: issuerEntry(services.people.url, "equal", alice),
		other:      issuerEntry(services.people.url, "equal", "mallory@example.test"),
	}
	key := []string{"--key", keys.private}
	keyless := []string{"--fulcio-url", services.fulcioURL, "--rekor-url", services.rekorURL}
	checkAlice := []string{"--certificate-identity", alice, "--certificate-oidc-issuer", services.people.url, "--trusted-root", services.trustedRoot}
	checkKey := []string{"--key", keys.public, "--insecure-ignore-tlog", "--trusted-root", services.trustedRoot}
	ways := []struct {
		name, layout string
		kind         signature
		args         []string
		verify       []string
	}{
		{"key-legacy", "legacy", byKey, key, append([]string{cosign2.path(), "verify"}, checkKey...)},
		{"key-bundle", "bundle", byKey, key, append([]string{cosign3.path(), "verify"}, checkKey...)},
		{"keyless-legacy", "legacy", byAlice, keyless, append([]string{cosign2.path(), "verify", "--offline"}, checkAlice...)},
		{"keyless-bundle", "bundle", byAlice, keyless, append([]string{cosign3.path(), "verify"}, checkAlice...)},
	}
	var signatures []signature
	for _, way := range ways {
		s := way.kind
		s.name, s.verify = way.name, way.verify
		s.sign = func(t *testing.T, host, reference string) {
			args := append([]string{"sign", "--layout", way.layout, "--sources-path", sources(t, host)}, way.args...)
			if way.kind.constraint == byAlice.constraint {
				args = append(args, "--identity-token",
					services.people.token(t, map[string]any{"email": alice, "email_verified": true, "sub": alice}))
			}
			run := policyctl(t, append(args, reference)...)
			run.env = append(run.env, password)
			run.must(t)
		}
		signatures = append(signatures, s)
	}
	return signatures
}
