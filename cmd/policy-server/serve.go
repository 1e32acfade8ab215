package main

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	goruntime "runtime"
	"sync"
	"time"

	"go.uber.org/zap"

	"policy-server/cmd/internal/capabilities"
	"policy-server/cmd/internal/logs"
	"policy-server/cmd/internal/trustroot"
	"policy-server/hostcalls/oci"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/registry/trust"
	"policy-server/registry/verify"
	"policy-server/runtime"
	"policy-server/runtime/turns"
	"policy-server/runtime/wasm"
	"policy-server/server"
)

// files are the parsed files a server starts with.
type files struct {
	definitions  []policy.Definition
	sources      registry.Sources
	verification *verify.Config // nil: nothing is verified
	// verificationDigest is that of the file: it tells one verification config from the next.
	verificationDigest [sha256.Size]byte
	trust              trust.Source
	warnings           []string
}

// serve loads what o names and serves it until ctx ends.
func serve(ctx context.Context, o options, stdout io.Writer) error {
	log, flush := openLog(o, stdout)
	defer flush()
	hangups, stopHangups := awaitHangups()
	defer stopHangups()
	atFirst := contentsOf(watched(o)...) // what changes from here on is noticed
	f, err := readFiles(o, log)
	if err != nil {
		return err
	}
	for _, warning := range f.warnings {
		log.Warn("configuration", zap.String("warning", warning))
	}
	secured, err := secure(ctx, o, log)
	if err != nil {
		return err
	}
	defer secured.close()
	checkDockerConfig(o.dockerConfig, log)
	// Guests may keep as many processors busy as there are places: one more lets timers and the
	// network go on.
	goruntime.GOMAXPROCS(max(goruntime.GOMAXPROCS(0), o.workers+1))
	budget := findMemoryBudget(o)
	budget.log(log, o.memoryLimit)
	engine, err := runtime.Open(ctx, runtime.Config{
		MemoryLimit: o.memoryLimit,
		IdleMemory:  budget.idle(),
		CodeFolder:  cmp.Or(o.codeFolder, filepath.Join(o.downloadDir, "compiled")),
		Compiler:    newCompiler(o, budget, log),
		Warn:        func(err error) { log.Warn("compiled code", zap.Error(err)) },
	})
	if err != nil {
		return fmt.Errorf("cannot start the WebAssembly runtime: %w", err)
	}
	defer func() { _ = engine.Close(context.WithoutCancel(ctx)) }()
	cluster, err := connect(o, f.definitions, log)
	if err != nil {
		return err
	}
	defer cluster.Close()
	client, err := openRegistries(o, f, log)
	if err != nil {
		return err
	}
	guests := client.ForGuests()
	images := oci.NewImageVerifier(guests, f.trust, o.imageCache, log)
	defer images.Close()
	inputs, err := newInputs(ctx, o, f, client, log)
	if err != nil {
		return calledOff(ctx, err)
	}
	live := new(policy.Live)
	keeper := policy.NewKeeper(policy.Loader{
		Registry: client,
		Engine:   engine,
		Calls:    capabilities.New(guests, images, cluster, log),
		Timeout:  timeLimit(o, log),
		Sandbox:  o.sandbox,
		Log:      log,
		Turns:    turns.New(turns.Config{Places: o.workers, BegunPerFlow: o.perPolicy, Memory: budget.running()}),
	}, live)
	front := server.New(server.Config{
		Address:   join(o.address, o.port),
		Readiness: join(o.address, o.readinessPort),
		TLS:       secured.config,
		Traffic:   budget.requests(o.requestMemory),
		LameDuck:  o.lameDuck,
		Retire:    live.Retire,
	}, policy.NewEvaluator(live, policy.EvaluatorConfig{
		AlwaysAccept: o.alwaysAccept,
		Observe:      server.LogEvaluations(log),
	}), log)
	if err := front.CheckAddresses(ctx); err != nil {
		return err
	}
	log.Info("policies download", zap.String("download_dir", o.downloadDir), zap.Int("policies_count", len(f.definitions)), zap.String("status", "init"))
	if err := keeper.Apply(ctx, inputs); err != nil {
		return calledOff(ctx, err)
	}
	if n := engine.Stats().Damaged; n > 0 {
		log.Warn("compile cache: damaged entries were removed, their modules compiled again", zap.Uint64("entries", n))
	}
	budget.tuneCollector()
	reloads := &reloader{
		o: o, log: log, keeper: keeper, client: client, images: images, cluster: cluster,
		hangups: hangups, read: atFirst, trust: contentsOf(o.trustConfig),
	}
	defer background(ctx, reloads.run)()
	return front.Run(ctx)
}

// background runs what ends with its context, until stop is called, which waits for it.
func background(ctx context.Context, run func(context.Context)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { run(ctx) })
	return func() {
		cancel()
		running.Wait()
	}
}

// logBuffer is how many bytes of log wait for a slow reader: some thousand lines. logFlush is how
// long the end of the program waits for it.
const (
	logBuffer = 1 << 20
	logFlush  = 2 * time.Second
)

// openLog returns the log, for which no request waits, whoever reads it. The caller flushes it in
// the end.
func openLog(o options, stdout io.Writer) (log *zap.Logger, flush func()) {
	buffer := logs.NewBuffer(stdout, logBuffer)
	log = logs.New(buffer, o.logFormat, o.logLevel, "policy_server")
	go buffer.Run(func(dropped int) {
		log.Warn("log lines were dropped, because they were not read as fast as they were written", zap.Int("lines", dropped))
	})
	return log, func() { buffer.Close(logFlush) }
}

// checkDockerConfig warns of a directory that holds no credentials.
func checkDockerConfig(directory string, log *zap.Logger) {
	if directory == "" {
		return
	}
	if _, err := os.Stat(filepath.Join(directory, "config.json")); err != nil {
		log.Warn("registries are asked without credentials: --docker-config-json-path must name the directory that holds config.json", zap.Error(err))
	}
}

// calledOff is why the start failed: err, unless it was called off, which would fail everything.
func calledOff(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("stopped before anything was served: %w", context.Cause(ctx))
	}
	return err
}

// readFiles reads and parses every file before anything else happens, so that a typing mistake
// costs no download.
func readFiles(o options, log *zap.Logger) (files, error) {
	var f files
	data, err := os.ReadFile(o.policies)
	if err == nil {
		var ignored []string
		f.definitions, ignored, err = policy.ParseDefinitions(data)
		for _, warning := range ignored {
			f.warnings = append(f.warnings, o.policies+": "+warning)
		}
	}
	if err != nil {
		return files{}, fmt.Errorf("error while loading policies from %q: %w", o.policies, err)
	}
	if o.sources != "" {
		var warnings []string
		if data, err = os.ReadFile(o.sources); err == nil {
			f.sources, warnings, err = registry.ParseSources(data)
		}
		if err != nil {
			return files{}, fmt.Errorf("error while loading sources from %s: %w", o.sources, err)
		}
		for _, warning := range warnings {
			f.warnings = append(f.warnings, o.sources+": "+warning)
		}
	}
	if o.verification != "" {
		if data, err = os.ReadFile(o.verification); err != nil {
			return files{}, fmt.Errorf("failed to read verification file: %w", err)
		}
		config, err := verify.ParseConfig(data)
		if err != nil {
			return files{}, fmt.Errorf("error while loading verification config from %s: %w", o.verification, err)
		}
		f.verification, f.verificationDigest = &config, sha256.Sum256(data)
	}
	f.trust, err = trustroot.Source(o.trustConfig, "trust config file", o.sigstoreCache, log)
	return f, err
}

// openRegistries returns the client through which modules, signatures and whatever policies ask
// about are reached.
func openRegistries(o options, f files, log *zap.Logger) (*registry.Client, error) {
	client, err := registry.Open(registry.Config{
		Sources:     f.sources,
		Keychain:    registry.DockerConfig{Dir: o.dockerConfig},
		StoreDir:    o.downloadDir,
		ReuseStored: f.verification == nil,
		CheckStored: func(module []byte) error {
			_, err := wasm.Parse(module)
			return err
		},
		Unstored: func(module string, err error) {
			log.Warn("module could not be stored, and is downloaded at each start", zap.String("module", module), zap.Error(err))
		},
	})
	if err != nil {
		return nil, fmt.Errorf("error while loading sources from %s: %w", o.sources, err)
	}
	return client, nil
}

// timeLimit is how long an evaluation may take by default.
func timeLimit(o options, log *zap.Logger) time.Duration {
	if o.noTimeout {
		log.Info("policy timeout protection is disabled")
		return 0
	}
	log.Info("policy timeout protection is enabled", zap.Duration("execution_limit", o.policyTimeout))
	return o.policyTimeout
}

// newInputs makes of files what a generation of policies is made of. It waits for the trust root,
// if the verification config needs one: without it no module could be accepted.
func newInputs(ctx context.Context, o options, f files, client *registry.Client, log *zap.Logger) (policy.Inputs, error) {
	inputs := policy.Inputs{Definitions: f.definitions, Verifier: policy.AllowUnsignedUnsafe{}, Strict: !o.continueOnErrors}
	if f.verification == nil {
		log.Warn("no verification config: policies are served unsigned")
		return inputs, nil
	}
	verifier, err := verify.New(*f.verification, verify.Options{
		Remote: client.RemoteOptions, Trust: f.trust, Store: registry.NewStore(o.downloadDir),
	})
	if err != nil {
		return policy.Inputs{}, fmt.Errorf("error while loading verification config from %s: %w", o.verification, err)
	}
	root, err := verifier.Prepare(ctx)
	if err != nil {
		return policy.Inputs{}, err
	}
	inputs.Verifier, inputs.Verification = loggedVerifier{verifier, log}, hex.EncodeToString(f.verificationDigest[:])
	if root != nil {
		inputs.Verification += " " + root.ID()
	}
	return inputs, nil
}
