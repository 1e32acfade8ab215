package main

import (
	"errors"
	"fmt"
	"net/netip"
	goruntime "runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.uber.org/zap/zapcore"

	"policy-server/cmd/internal/logs"
	"policy-server/hostcalls/oci"
	"policy-server/runtime"
)

// options are what flags and environment say. The fields are in the order of the table below.
type options struct {
	address          netip.Addr
	port             uint16
	readinessPort    uint16
	workers          int
	perPolicy        int
	certFile         string
	keyFile          string
	clientCAs        string
	policies         string
	downloadDir      string
	sigstoreCache    string
	trustConfig      string
	sources          string
	verification     string
	dockerConfig     string
	alwaysAccept     string
	policyTimeout    time.Duration
	noTimeout        bool
	ignoreCluster    bool
	logLevel         zapcore.Level
	logFormat        logs.Format
	continueOnErrors bool
	sandbox          runtime.Mode
	memoryBudget     int64
	memoryLimit      int64
	requestMemory    int64
	lameDuck         time.Duration
	codeFolder       string
	compileHere      bool
	compileMemory    int64
	compileTimeout   time.Duration
	imageCache       oci.CacheConfig
}

// option is one setting: a flag, the environment variable behind it, and how its text is
// understood.
type option struct {
	flag, env, fallback string
	placeholder         string // of the value in the help; "" for a boolean flag
	possible            []string
	help                string
	hidden              bool
	set                 func(o *options, text string) error // nil: not supported yet
}

// table lists every setting of the server this one replaces. Those without set are known by name so
// that they can be refused by name: a server that ignored --client-ca-file would be open without
// saying so.
func table() []option {
	return []option{
		{flag: "addr", env: "KUBEWARDEN_BIND_ADDRESS", fallback: "0.0.0.0", placeholder: "BIND_ADDRESS", help: "IP address to listen on, for the API and the readiness probe",
			set: func(o *options, text string) (err error) { o.address, err = parseAddress(text); return err }},
		{flag: "port", env: "KUBEWARDEN_PORT", fallback: "3000", placeholder: "PORT", help: "port of the API",
			set: func(o *options, text string) (err error) { o.port, err = parsePort(text); return err }},
		{flag: "readiness-probe-port", env: "KUBEWARDEN_READINESS_PROBE_PORT", fallback: "8081", placeholder: "PORT", help: "port of the readiness probe, always plain HTTP",
			set: func(o *options, text string) (err error) { o.readinessPort, err = parsePort(text); return err }},
		{flag: "workers", env: "KUBEWARDEN_WORKERS", fallback: strconv.Itoa(goruntime.GOMAXPROCS(0)), placeholder: "N", help: "on how many processors guests run at once; they are shared between policies by what each has used",
			set: func(o *options, text string) (err error) { o.workers, err = parseWorkers(text); return err }},
		{flag: "cert-file", env: "KUBEWARDEN_CERT_FILE", placeholder: "FILE", help: "server certificate, PEM, with what of its chain clients need; exchanged while serving when the file changes",
			set: func(o *options, text string) error { o.certFile = text; return nil }},
		{flag: "key-file", env: "KUBEWARDEN_KEY_FILE", placeholder: "FILE", help: "server key, PEM",
			set: func(o *options, text string) error { o.keyFile = text; return nil }},
		{flag: "client-ca-file", env: "KUBEWARDEN_CLIENT_CA_FILE", placeholder: "FILES", help: "CAs of client certificates, separated by commas; clients then need a certificate",
			set: func(o *options, text string) error { o.clientCAs = text; return nil }},
		{flag: "policies", env: "KUBEWARDEN_POLICIES", fallback: "policies.yml", placeholder: "FILE", help: "the policies to serve, YAML",
			set: func(o *options, text string) error { o.policies = text; return nil }},
		{flag: "policies-download-dir", env: "KUBEWARDEN_POLICIES_DOWNLOAD_DIR", fallback: ".", placeholder: "DIR", help: "where downloaded modules are kept",
			set: func(o *options, text string) error { o.downloadDir = text; return nil }},
		{flag: "sigstore-cache-dir", env: "KUBEWARDEN_SIGSTORE_CACHE_DIR", fallback: "sigstore-data", placeholder: "DIR", help: "where the public-good Sigstore trust root is kept, once keyless constraints made it be fetched",
			set: func(o *options, text string) error { o.sigstoreCache = text; return nil }},
		{flag: "sigstore-trust-config", env: "KUBEWARDEN_SIGSTORE_TRUST_CONFIG_PATH", placeholder: "FILE", help: "Sigstore trust root to verify with, instead of the public-good one; JSON, a ClientTrustConfig or a trusted root",
			set: func(o *options, text string) error { o.trustConfig = text; return nil }},
		{flag: "sources-path", env: "KUBEWARDEN_SOURCES_PATH", placeholder: "FILE", help: "insecure registries, their CAs, proxies, and which registries policies may ask; YAML",
			set: func(o *options, text string) error { o.sources = text; return nil }},
		{flag: "verification-path", env: "KUBEWARDEN_VERIFICATION_CONFIG_PATH", placeholder: "FILE", help: "the signatures a policy's module must have, YAML; without it none are asked for",
			set: func(o *options, text string) error { o.verification = text; return nil }},
		{flag: "docker-config-json-path", env: "KUBEWARDEN_DOCKER_CONFIG_JSON_PATH", placeholder: "DIR", help: "directory of the config.json with the registries' credentials",
			set: func(o *options, text string) error { o.dockerConfig = text; return nil }},
		{flag: "enable-metrics", env: "KUBEWARDEN_ENABLE_METRICS", help: "push metrics by OTLP"},
		{flag: "always-accept-admission-reviews-on-namespace", env: "KUBEWARDEN_ALWAYS_ACCEPT_ADMISSION_REVIEWS_ON_NAMESPACE", placeholder: "NS", help: "accept all requests in this namespace without evaluating them",
			set: func(o *options, text string) error { o.alwaysAccept = text; return nil }},
		{flag: "policy-timeout", env: "KUBEWARDEN_POLICY_TIMEOUT", fallback: "2", placeholder: "SECONDS", help: "how long one evaluation may take, unless the policy says otherwise",
			set: func(o *options, text string) (err error) {
				o.policyTimeout, err = parseSeconds(text, ", or --disable-timeout-protection")
				return err
			}},
		{flag: "disable-timeout-protection", env: "KUBEWARDEN_DISABLE_TIMEOUT_PROTECTION", help: "no limit for policies that have none of their own",
			set: func(o *options, text string) error { o.noTimeout = text == "true"; return nil }},
		{flag: "ignore-kubernetes-connection-failure", env: "KUBEWARDEN_IGNORE_KUBERNETES_CONNECTION_FAILURE", help: "start without a Kubernetes client",
			set: func(o *options, text string) error { o.ignoreCluster = text == "true"; return nil }},
		{flag: "log-level", env: "KUBEWARDEN_LOG_LEVEL", fallback: "info", placeholder: "LOG_LEVEL", possible: []string{"trace", "debug", "info", "warn", "error"}, help: "least severe events to log",
			set: func(o *options, text string) (err error) { o.logLevel, err = parseLevel(text); return err }},
		{flag: "log-fmt", env: "KUBEWARDEN_LOG_FMT", fallback: "text", placeholder: "LOG_FMT", possible: []string{"text", "json", "otlp"}, help: "how events are logged",
			set: setLogFormat},
		{flag: "log-no-color", env: "NO_COLOR", help: "accepted and without effect: logs have no colours",
			set: func(*options, string) error { return nil }},
		{flag: "enable-pprof", env: "KUBEWARDEN_ENABLE_PPROF", help: "serve profiles on the API port"},
		{flag: "daemon", env: "KUBEWARDEN_DAEMON", help: "detach from the terminal"},
		{flag: "daemon-pid-file", env: "KUBEWARDEN_DAEMON_PID_FILE", fallback: "policy-server.pid", placeholder: "FILE", help: "PID file of the daemon"},
		{flag: "daemon-stdout-file", env: "KUBEWARDEN_DAEMON_STDOUT_FILE", placeholder: "FILE", help: "standard output of the daemon"},
		{flag: "daemon-stderr-file", env: "KUBEWARDEN_DAEMON_STDERR_FILE", placeholder: "FILE", help: "standard error of the daemon"},
		{flag: "continue-on-errors", env: "KUBEWARDEN_CONTINUE_ON_ERRORS", hidden: true, help: "serve the policies that load when others do not",
			set: func(o *options, text string) error { o.continueOnErrors = text == "true"; return nil }},
		// Beyond the server this one replaces:
		{flag: "sandbox-mode", env: "KUBEWARDEN_SANDBOX_MODE", fallback: string(runtime.ModeReset), placeholder: "MODE", possible: []string{string(runtime.ModeReset), string(runtime.ModeFresh)}, help: "how each request gets a clean sandbox: reset to an image after each use, or made anew; policies may say otherwise",
			set: func(o *options, text string) error { o.sandbox = runtime.Mode(text); return nil }},
		{flag: "memory-limit", env: "KUBEWARDEN_MEMORY_LIMIT", fallback: "134217728", placeholder: "BYTES", help: "how large the memory of one sandbox may get",
			set: func(o *options, text string) (err error) { o.memoryLimit, err = parseBytes(text); return err }},
		{flag: "memory-budget", env: "KUBEWARDEN_MEMORY_BUDGET", fallback: "0", placeholder: "BYTES", help: "how much memory all sandboxes together may hold; 0: half of the container's limit, or of the machine's memory",
			set: func(o *options, text string) (err error) {
				o.memoryBudget, err = parseBudget(text, leastBudget)
				return err
			}},
		{flag: "evaluations-per-policy", env: "KUBEWARDEN_EVALUATIONS_PER_POLICY", fallback: "64", placeholder: "N", help: "how many evaluations of one policy may have begun, those that wait in host calls included; others wait",
			set: func(o *options, text string) (err error) { o.perPolicy, err = parseWorkers(text); return err }},
		{flag: "request-memory", env: "KUBEWARDEN_REQUEST_MEMORY", fallback: "0", placeholder: "BYTES", help: "how much memory the bodies of all requests in flight, and their answers, may take together; 0: an eighth of the container's limit or of the machine's memory",
			set: func(o *options, text string) (err error) {
				o.requestMemory, err = parseBudget(text, leastBudget)
				return err
			}},
		{flag: "lame-duck", env: "KUBEWARDEN_LAME_DUCK", fallback: "5", placeholder: "SECONDS", help: "how long to serve on after SIGTERM, no longer ready, for clients that have not heard of it yet",
			set: func(o *options, text string) (err error) { o.lameDuck, err = parseLifetime(text); return err }},
		{flag: "compile-cache-dir", env: "KUBEWARDEN_COMPILE_CACHE_DIR", placeholder: "DIR", help: "where compiled modules are kept from one start to the next (default: compiled, in the download directory)",
			set: func(o *options, text string) error { o.codeFolder = text; return nil }},
		{flag: "compile-isolation", env: "KUBEWARDEN_COMPILE_ISOLATION", fallback: "process", placeholder: "MODE", possible: []string{"process", "none"}, help: "where modules are compiled: each in a process of its own, bounded in memory and time, or in the server",
			set: func(o *options, text string) error { o.compileHere = text == "none"; return nil }},
		{flag: "compile-memory", env: "KUBEWARDEN_COMPILE_MEMORY", fallback: "0", placeholder: "BYTES", help: "how much memory the process may take that compiles a module; 0: half of the container's limit or of the machine's memory, from 512 MiB to 2 GiB",
			set: func(o *options, text string) (err error) {
				o.compileMemory, err = parseBudget(text, leastCompilingGiven)
				return err
			}},
		{flag: "compile-timeout", env: "KUBEWARDEN_COMPILE_TIMEOUT", fallback: "120", placeholder: "SECONDS", help: "how long compiling a module may take",
			set: func(o *options, text string) (err error) { o.compileTimeout, err = parseSeconds(text, ""); return err }},
		{flag: "image-verification-cache-ttl", env: "KUBEWARDEN_IMAGE_VERIFICATION_CACHE_TTL", fallback: "300", placeholder: "SECONDS", help: "how long an image that was verified for a policy counts as verified, by digest and constraints; 0: not at all",
			set: func(o *options, text string) (err error) {
				o.imageCache.Lifetime, err = parseLifetime(text)
				return err
			}},
		{flag: "image-verification-cache-refused-ttl", env: "KUBEWARDEN_IMAGE_VERIFICATION_CACHE_REFUSED_TTL", fallback: "0", placeholder: "SECONDS", help: "how long an image whose signatures do not suffice is refused without looking again; 0: not at all",
			set: func(o *options, text string) (err error) {
				o.imageCache.RefusedLifetime, err = parseLifetime(text)
				return err
			}},
		{flag: "image-verification-cache-tag-ttl", env: "KUBEWARDEN_IMAGE_VERIFICATION_CACHE_TAG_TTL", fallback: "60", placeholder: "SECONDS", help: "how long an image's tag is taken to mean the digest it had; 0: it is asked for each time",
			set: func(o *options, text string) (err error) {
				o.imageCache.DigestLifetime, err = parseLifetime(text)
				return err
			}},
		{flag: "image-verification-cache-size", env: "KUBEWARDEN_IMAGE_VERIFICATION_CACHE_SIZE", fallback: "67108864", placeholder: "BYTES", help: "how much memory verified images may take, and as much again refused ones",
			set: func(o *options, text string) (err error) { o.imageCache.Bytes, err = parseBytes(text); return err }},
	}
}

// errUnsupported is why a setting without function yet is refused.
var errUnsupported = errors.New("not supported yet")

// apply understands text, given for s, into o.
func (s option) apply(o *options, text string) error {
	if s.placeholder == "" && text != "true" && text != "false" {
		return errNotPossible
	}
	if len(s.possible) > 0 && !slices.Contains(s.possible, text) {
		return errNotPossible
	}
	if s.set != nil {
		return s.set(o, text)
	}
	if s.placeholder == "" && text == "false" {
		return nil // said to be off, and it is
	}
	return errUnsupported
}

// errNotPossible is why a value outside of an enumeration is refused; the message lists what is
// possible.
var errNotPossible = errors.New("not one of the possible values")

func (s option) possibleValues() []string {
	if s.placeholder == "" {
		return []string{"true", "false"}
	}
	return s.possible
}

func parseAddress(text string) (netip.Addr, error) {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"))
	if err != nil || address.Zone() != "" {
		return netip.Addr{}, fatal("error parsing arguments: invalid socket address syntax")
	}
	return address, nil
}

func parsePort(text string) (uint16, error) {
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return 0, errors.New("not a port; legal: 0 to 65535")
	}
	return uint16(port), nil
}

// maxWorkers is far above any use; it keeps the number from becoming a memory limit.
const maxWorkers = 1 << 16

func parseWorkers(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 || n > maxWorkers {
		return 0, fmt.Errorf("not a number of evaluations; legal: 1 to %d", maxWorkers)
	}
	return int(n), nil
}

// parseSeconds reads a time limit; instead is what to give for none.
func parseSeconds(text, instead string) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || n == 0 {
		return 0, errors.New("not a number of seconds; legal: 1 or more" + instead)
	}
	return time.Duration(n) * time.Second, nil
}

// maxLifetime is beyond what anybody would want to wait for a withdrawn signature to count no
// longer.
const maxLifetime = 24 * time.Hour

func parseLifetime(text string) (time.Duration, error) {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil || time.Duration(n)*time.Second > maxLifetime {
		return 0, fmt.Errorf("not a number of seconds; legal: 0 to %d", int(maxLifetime.Seconds()))
	}
	return time.Duration(n) * time.Second, nil
}

func parseBytes(text string) (int64, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n < 64<<10 || n > 4<<30 {
		return 0, errors.New("not a number of bytes; legal: 65536 to 4294967296")
	}
	return n, nil
}

func parseLevel(text string) (zapcore.Level, error) {
	if text == "trace" {
		return zapcore.DebugLevel, nil // there is nothing finer here
	}
	return zapcore.ParseLevel(text)
}

func setLogFormat(o *options, text string) error {
	if text == "otlp" {
		return errUnsupported
	}
	o.logFormat = logs.Format(text)
	return nil
}
