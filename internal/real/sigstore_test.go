package real

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"testing"
	"time"
)

// sigstore is a whole private Sigstore on loopback: certificate authority, certificate log, both
// generations of the transparency log, time stamps, and two identity providers.
type sigstore struct {
	people, workflows *issuer // who gives tokens to persons, and to CI workflows as GitHub describes them

	fulcioURL, rekorURL, tilesURL, timestampURL string
	caFile, ctKey, rekorKey                     string // what cosign 2 is told by variables

	trustedRoot   string // file: everything above, for verifiers
	signingConfig string // file: cosign 3 signs with Rekor v2 and time stamps
	rekor1Config  string // file: cosign 3 signs with Rekor v1

	services []*process
	logs     *merkleLogs
}

// stop ends every service; what was signed has to verify without them.
func (s *sigstore) stop() {
	for _, service := range s.services {
		service.stop()
	}
	s.logs.stop()
	s.people.stop()
	s.workflows.stop()
}

func startSigstore(t *testing.T) *sigstore {
	t.Helper()
	s := &sigstore{people: startIssuer(t), workflows: startIssuer(t), logs: startMerkleLogs(t)}
	chain := s.startTimestamps(t) // before Rekor: both want port 2112 for their metrics, and only Rekor can do without
	s.startRekor(t)
	tilesKey := s.startTiles(t)
	ctURL, caKey := s.startCertificateLog(t)
	s.startFulcio(t, ctURL, caKey)
	s.writeConfigs(t, chain, tilesKey)
	return s
}

func (s *sigstore) start(t *testing.T, program tool, args ...string) *process {
	t.Helper()
	p := start(t, program.name, program.path(), args...)
	s.services = append(s.services, p)
	return p
}

// startTimestamps returns the file with the authority's certificates.
func (s *sigstore) startTimestamps(t *testing.T) string {
	t.Helper()
	port := freePort(t)
	p := s.start(t, timestampServer, "serve", "--host", "127.0.0.1", "--port", port, "--timestamp-signer", "memory", "--disable-ntp-monitoring")
	base := "http://127.0.0.1:" + port
	s.timestampURL = base + "/api/v1/timestamp"
	return write(t, filepath.Join(t.TempDir(), "tsa.pem"), p.ready(t, s.timestampURL+"/certchain"))
}

func (s *sigstore) startRekor(t *testing.T) {
	t.Helper()
	port, key := freePort(t), newECDSA(t)
	host, trees, err := net.SplitHostPort(s.logs.address)
	if err != nil {
		t.Fatal(err)
	}
	p := s.start(t, rekor, "serve", "--rekor_server.address=127.0.0.1", "--port="+port, "--rekor_server.hostname=127.0.0.1",
		"--trillian_log_server.address="+host, "--trillian_log_server.port="+trees,
		"--trillian_log_server.tlog_id="+strconv.FormatInt(s.logs.tree(t), 10),
		"--rekor_server.signer="+key.private, "--enable_retrieve_api=false")
	s.rekorURL, s.rekorKey = "http://127.0.0.1:"+port, key.public
	p.ready(t, s.rekorURL+"/api/v1/log")
}

// startTiles starts Rekor v2 and returns the path of its public key.
func (s *sigstore) startTiles(t *testing.T) string {
	t.Helper()
	port, key := freePort(t), newEd25519(t)
	p := s.start(t, rekorTiles, "serve", "--http-address", "127.0.0.1", "--http-port", port,
		"--grpc-address", "127.0.0.1", "--grpc-port", freePort(t), "--http-metrics-port", freePort(t), "--hostname", "127.0.0.1",
		"--storage-dir", t.TempDir(), "--signer-filepath", key.private, "--checkpoint-interval", "100ms", "--batch-max-age", "50ms")
	s.tilesURL = "http://127.0.0.1:" + port
	p.ready(t, s.tilesURL+"/healthz")
	return key.public
}

// startCertificateLog returns the URL that Fulcio submits to and the key of the authority that the
// log accepts.
func (s *sigstore) startCertificateLog(t *testing.T) (url, caKey string) {
	t.Helper()
	ca, log := newECDSA(t), newECDSA(t)
	s.caFile, s.ctKey = authority(t, ca), log.public
	private, public := log.escaped(t)
	config := fmt.Sprintf(`config { log_id: %d prefix: "test" roots_pem_file: %q ext_key_usages: "CodeSigning"
private_key: { [type.googleapis.com/keyspb.PrivateKey] { der: "%s" } } public_key { der: "%s" } }`,
		s.logs.tree(t), s.caFile, private, public)
	address := "127.0.0.1:" + freePort(t)
	p := s.start(t, ctServer, "--http_endpoint="+address, "--log_rpc_server="+s.logs.address, "--logtostderr",
		"--log_config="+write(t, filepath.Join(t.TempDir(), "ct.cfg"), []byte(config)))
	url = "http://" + address + "/test"
	p.ready(t, url+"/ct/v1/get-sth")
	return url, ca.private
}

func (s *sigstore) startFulcio(t *testing.T, ctURL, caKey string) {
	t.Helper()
	port := freePort(t)
	p := s.start(t, fulcio, "serve", "--ca=fileca", "--fileca-cert", s.caFile, "--fileca-key", caKey, "--fileca-key-passwd", "none",
		"--ct-log-url="+ctURL, "--ct-log-public-key-path", s.ctKey,
		"--config-path="+write(t, filepath.Join(t.TempDir(), "fulcio.yaml"), []byte(s.identities())),
		"--host", "127.0.0.1", "--port", port, "--grpc-host", "127.0.0.1", "--grpc-port", freePort(t),
		"--metrics-port", freePort(t), "--log_type", "prod")
	s.fulcioURL = "http://127.0.0.1:" + port
	p.ready(t, s.fulcioURL+"/healthz")
}

// identities is Fulcio's config: what a token's claims become in a certificate.
func (s *sigstore) identities() string {
	return fmt.Sprintf(`oidc-issuers:
  %[1]s:
    issuer-url: %[1]s
    client-id: sigstore
    type: email
    contact: nobody@example.test
    description: people
  %[2]s:
    issuer-url: %[2]s
    client-id: sigstore
    type: ci-provider
    ci-provider: workflow
    contact: nobody@example.test
    description: workflows
ci-issuer-metadata:
  workflow:
    default-template-values:
      url: https://github.com
    extension-templates:
      github-workflow-trigger: event_name
      github-workflow-sha: sha
      github-workflow-name: workflow
      github-workflow-repository: repository
      github-workflow-ref: ref
      build-signer-uri: "{{ .url }}/{{ .job_workflow_ref }}"
      source-repository-uri: "{{ .url }}/{{ .repository }}"
    subject-alternative-name-template: "{{ .url }}/{{ .job_workflow_ref }}"
`, s.people.url, s.workflows.url)
}

// writeConfigs lets cosign 3 write what verifiers and signers are told about the services.
func (s *sigstore) writeConfigs(t *testing.T, tsaChain, tilesKey string) {
	t.Helper()
	since := "start-time=" + time.Now().Add(-time.Hour).UTC().Format(time.RFC3339)
	folder := t.TempDir()
	s.trustedRoot = filepath.Join(folder, "trusted_root.json")
	command{args: []string{cosign3.path(), "trusted-root", "create", "--out", s.trustedRoot,
		"--fulcio", "url=" + s.fulcioURL + ",certificate-chain=" + s.caFile + "," + since,
		"--ctfe", "url=http://127.0.0.1,public-key=" + s.ctKey + "," + since,
		"--rekor", "url=" + s.tilesURL + ",public-key=" + tilesKey + "," + since + ",origin=127.0.0.1",
		"--rekor", "url=" + s.rekorURL + ",public-key=" + s.rekorKey + "," + since,
		"--tsa", "url=" + s.timestampURL + ",certificate-chain=" + tsaChain + "," + since,
	}}.must(t)

	service := func(url string, version int) string {
		return fmt.Sprintf("url=%s,api-version=%d,%s,operator=test", url, version, since)
	}
	config := func(name string, more ...string) string {
		path := filepath.Join(folder, name)
		command{args: append([]string{cosign3.path(), "signing-config", "create", "--out", path,
			"--fulcio", service(s.fulcioURL, 1), "--oidc-provider", service(s.people.url, 1)}, more...)}.must(t)
		return path
	}
	s.signingConfig = config("rekor2.json", "--rekor", service(s.tilesURL, 2), "--rekor-config", "ANY",
		"--tsa", service(s.timestampURL, 1), "--tsa-config", "ANY")
	s.rekor1Config = config("rekor1.json", "--rekor", service(s.rekorURL, 1), "--rekor-config", "ANY")
}

func freePort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
}
