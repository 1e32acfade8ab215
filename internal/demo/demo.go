package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	ociregistry "github.com/google/go-containerregistry/pkg/registry"

	"policy-server/internal/testing/signer"
	"policy-server/policy"
	"policy-server/registry"
)

// unsigned is the example that is published without a signature, to show what becomes of it.
const unsigned = "safe-labels"

// mutating is the example that needs to be allowed to mutate.
const mutating = "default-seccomp"

// demo is one run.
type demo struct {
	server     string // the policy-server binary
	modules    string // folder with the annotated examples, NAME.wasm
	port       int
	readiness  int
	folder     string // temporary
	out        io.Writer
	registry   string // host:port
	client     *registry.Client
	signer     *signer.Signer
	references map[string]string // example → reference
}

func run(args []string, stdout, stderr io.Writer) int {
	d := demo{out: stdout, references: map[string]string{}}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&d.server, "server", "build/bin/policy-server", "the policy-server binary")
	flags.StringVar(&d.modules, "modules", "build/policies", "folder with the annotated examples")
	flags.IntVar(&d.port, "port", 3000, "port of the API")
	flags.IntVar(&d.readiness, "readiness-port", 8081, "port of the readiness probe")
	if err := flags.Parse(args); err != nil {
		return 2
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch err := d.run(ctx); {
	case ctx.Err() != nil: // whatever it was doing, it was asked to stop
		d.say("Stopped.")
	case err != nil:
		fmt.Fprintf(stderr, "demo: %v\n", err)
		return 1
	}
	return 0
}

// run plays all roles in order: registry, publisher, signer, operator.
func (d *demo) run(ctx context.Context) (err error) {
	if d.folder, err = os.MkdirTemp("", "policy-server-demo-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(d.folder)) }()
	closeRegistry, err := d.startRegistry(ctx)
	if err != nil {
		return err
	}
	defer closeRegistry()
	if err := d.publish(ctx); err != nil {
		return err
	}
	if err := d.writeConfig(); err != nil {
		return err
	}
	return d.serve(ctx)
}

// startRegistry starts an OCI registry on a free loopback port and makes a client for it.
func (d *demo) startRegistry(ctx context.Context) (func(), error) {
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d.registry = listener.Addr().String()
	server := &http.Server{
		Handler:           ociregistry.New(ociregistry.Logger(log.New(io.Discard, "", 0))),
		ReadHeaderTimeout: 10 * time.Second,
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = server.Serve(listener) // ends when closed
	}()
	d.client, err = registry.Open(registry.Config{Sources: registry.Sources{InsecureSources: []string{d.registry}}})
	d.say("Registry on %s (plain HTTP, loopback only).", d.registry)
	return func() { _ = server.Close(); <-served }, err
}

// publish pushes every example that asks nothing of its host, since there is no cluster here to
// answer, and signs all but one.
func (d *demo) publish(ctx context.Context) error {
	var err error
	if d.signer, err = signer.New(); err != nil {
		return err
	}
	modules, err := filepath.Glob(filepath.Join(d.modules, "*.wasm"))
	if err != nil {
		return err
	}
	if len(modules) == 0 {
		return fmt.Errorf("no policies in %q: run `make examples` first", d.modules)
	}
	for _, path := range modules {
		name := strings.TrimSuffix(filepath.Base(path), ".wasm")
		if err := d.publishOne(ctx, name, path); err != nil {
			return fmt.Errorf("publish %s: %w", name, err)
		}
	}
	return nil
}

func (d *demo) publishOne(ctx context.Context, name, path string) error {
	code, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	metadata, _, err := policy.ReadMetadata(code)
	if err != nil {
		return err
	}
	if len(metadata.HostCapabilities) > 0 {
		return nil
	}
	annotations, _ := registry.ManifestAnnotations(metadata.Annotations)
	d.references[name] = fmt.Sprintf("registry://%s/policies/%s:v1", d.registry, name)
	reference, err := registry.ParseReference(d.references[name])
	if err != nil {
		return err
	}
	digest, err := d.client.Push(ctx, reference, code, annotations)
	if err != nil {
		return err
	}
	if name == unsigned {
		d.say("Pushed %s, on purpose without a signature.", name)
		return nil
	}
	d.say("Pushed and signed %s: %s", name, digest.DigestStr())
	return d.signer.Sign(ctx, digest, nil, d.client.RemoteOptions(ctx)...)
}

// writeConfig writes the files an operator would write.
func (d *demo) writeConfig() error {
	var policies strings.Builder
	for _, name := range sortedKeys(d.references) {
		fmt.Fprintf(&policies, "%s:\n  module: %s\n  allowedToMutate: %t\n  settings: %s\n", name, d.references[name], name == mutating, settings[name])
	}
	for file, content := range map[string]string{
		"policies.yml":     policies.String(),
		"sources.yml":      fmt.Sprintf("insecure_sources: [%q]\n", d.registry),
		"verification.yml": "apiVersion: v1\nallOf:\n  - kind: pubKey\n    owner: demo\n    key: |\n" + indent(string(d.signer.PublicKeyPEM())),
	} {
		if err := os.WriteFile(d.path(file), []byte(content), 0o600); err != nil {
			return err
		}
	}
	d.say("Wrote policies.yml, sources.yml and verification.yml to %s.", d.folder)
	return nil
}

// settings are what the examples that need settings are served with.
var settings = map[string]string{
	"safe-labels": `{denied_labels: [forbidden]}`,
	"raw-quota":   `{default: 10}`,
}

// serve runs the server until ctx ends.
func (d *demo) serve(ctx context.Context) error {
	command := exec.CommandContext(ctx, d.server,
		"--addr", "127.0.0.1", "--port", fmt.Sprint(d.port), "--readiness-probe-port", fmt.Sprint(d.readiness),
		"--policies", d.path("policies.yml"), "--sources-path", d.path("sources.yml"), "--verification-path", d.path("verification.yml"),
		"--policies-download-dir", d.path("modules"), "--continue-on-errors", "--lame-duck", "0")
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGTERM) }
	command.WaitDelay = 40 * time.Second // longer than the server takes to drain
	command.Stdout, command.Stderr = d.out, d.out
	d.say("Starting the server; each policy is verified before it is compiled.")
	if err := command.Start(); err != nil {
		return fmt.Errorf("start %s: %w", d.server, err)
	}
	ended := make(chan error, 1)
	go func() { ended <- command.Wait() }()
	if err := d.untilReady(ctx, ended); err != nil {
		return err
	}
	d.explain(ctx)
	return fmt.Errorf("the server ended by itself: %w", <-ended)
}

// untilReady waits for the readiness probe. When ctx ends first, the server has been told to stop,
// and is waited for.
func (d *demo) untilReady(ctx context.Context, ended <-chan error) error {
	for {
		response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/readiness", d.readiness))
		if err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case err := <-ended:
			return fmt.Errorf("the server did not start: %w", err)
		case <-ctx.Done():
			return <-ended
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (d *demo) path(file string) string { return filepath.Join(d.folder, file) }

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.out, "demo: "+format+"\n", args...) }
