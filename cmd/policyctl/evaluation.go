package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"policy-server/admission"
	"policy-server/cmd/internal/capabilities"
	"policy-server/policy"
	"policy-server/registry"
	"policy-server/runtime"
)

// evaluate puts request to module under definition through the server's own loader and evaluator, so that the two
// programs cannot answer differently. There is no time limit. Host calls reach registries through client. Compiled code is
// kept in codeFolder, unless that is "".
func (p *program) evaluate(
	ctx context.Context, client *registry.Client, codeFolder string, module preparedModule, definition policy.Definition, request *admission.Request,
) (response admission.Response, err error) {
	engine, err := runtime.Open(ctx, runtime.Config{CodeFolder: codeFolder})
	if err != nil {
		return admission.Response{}, fmt.Errorf("cannot start the WebAssembly runtime: %w", err)
	}
	defer func() { err = errors.Join(err, engine.Close(context.WithoutCancel(ctx))) }()
	log := p.log()
	loader := &policy.Loader{
		Registry: client,
		Verifier: policy.AllowUnsignedUnsafe{}, // whether it is signed was found out when it was fetched
		Engine:   engine,
		Sandbox:  runtime.ModeFresh, // an image pays for itself only when there are more requests
		Calls:    capabilities.New(client, log),
		Log:      p.loaderLog(log),
	}
	set, err := load(ctx, loader, module, definition)
	if err != nil {
		return admission.Response{}, err
	}
	live := new(policy.Live)
	if err := live.Swap(ctx, set); err != nil {
		return admission.Response{}, err
	}
	defer func() { err = errors.Join(err, live.Retire(context.WithoutCancel(ctx))) }()
	return policy.NewEvaluator(live, 1, "").Evaluate(ctx, definition.ID, request, policy.FromWebhook)
}

// load takes the policy through the first part of its life. The loader reads modules from references, so this one lies in
// a file for as long as that takes.
func load(ctx context.Context, loader *policy.Loader, module preparedModule, definition policy.Definition) (*policy.Set, error) {
	dir, err := os.MkdirTemp("", "policy-") // for this user's eyes and hands only
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	file := filepath.Join(dir, "policy.wasm")
	if err := os.WriteFile(file, module.code, 0o600); err != nil {
		return nil, err
	}
	if definition.Module, err = fileURI(file); err != nil {
		return nil, err
	}
	set := loader.Load(ctx, []policy.Definition{definition})
	if err := set.Err(); err != nil {
		return nil, errors.Join(loadFailure(err), set.Close(context.WithoutCancel(ctx)))
	}
	return set, nil
}

// loadFailure is err without the names the server's operators need: here there is one policy, and the user named it.
func loadFailure(err error) error {
	var settings *policy.SettingsError
	var failed *policy.LoadError
	switch {
	case errors.As(err, &settings):
		return saidf("Provided settings are not valid: %s", printable(settings.Message))
	case errors.As(err, &failed):
		return failed.Err
	}
	return err
}

// loaderLog keeps the loader to what a user of this program cannot learn otherwise: what guests print. Its errors are
// returned as well, and its reports of success are about a temporary file.
func (p *program) loaderLog(log *zap.Logger) *zap.Logger {
	if p.verbose.on() {
		return log
	}
	return log.WithOptions(zap.IncreaseLevel(zap.LevelEnablerFunc(func(level zapcore.Level) bool { return level == zapcore.WarnLevel })))
}
