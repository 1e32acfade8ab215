package main

import (
	"context"
	"errors"
	"fmt"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"policy-server/admission"
	"policy-server/cmd/internal/capabilities"
	"policy-server/hostcalls/oci"
	"policy-server/policy"
	"policy-server/runtime"
)

// evaluate puts request to module under definition through the server's own loader and evaluator,
// so that the two programs cannot answer differently. There is no time limit. Host calls go through
// session, and reach registries as modules does. Compiled code is kept in codeFolder, unless that
// is "".
func (p *program) evaluate(
	ctx context.Context, modules *modules, session session, codeFolder string, module preparedModule, definition policy.Definition, request *admission.Request,
) (response admission.Response, err error) {
	log := p.log()
	cluster, err := session.connect(definition, log)
	if err != nil {
		return admission.Response{}, err
	}
	defer cluster.Close()
	engine, err := runtime.Open(ctx, runtime.Config{CodeFolder: codeFolder})
	if err != nil {
		return admission.Response{}, fmt.Errorf("cannot start the WebAssembly runtime: %w", err)
	}
	defer func() { err = errors.Join(err, engine.Close(context.WithoutCancel(ctx))) }()
	guests := modules.client.ForGuests()
	images := oci.NewImageVerifier(guests, modules.trust, oci.CacheConfig{}, log)
	defer images.Close()
	loader := &policy.Loader{
		Engine:  engine,
		Sandbox: runtime.ModeFresh, // an image pays for itself only when there are more requests
		Calls:   session.proxy(capabilities.New(guests, images, cluster, log)),
		Log:     p.loaderLog(log),
	}
	set := loader.LoadUnverifiedUnsafe(ctx, []policy.Definition{definition}, map[string][]byte{definition.Module: module.code})
	if err := set.Err(); err != nil {
		return admission.Response{}, errors.Join(loadFailure(err), set.Close(context.WithoutCancel(ctx)))
	}
	live := new(policy.Live)
	if err := live.Swap(ctx, set); err != nil {
		return admission.Response{}, err
	}
	defer func() { err = errors.Join(err, live.Retire(context.WithoutCancel(ctx))) }()
	return policy.NewEvaluator(live, policy.EvaluatorConfig{}).Evaluate(ctx, definition.ID, request, policy.FromWebhook)
}

// loadFailure is err without the names the server's operators need: here there is one policy, and
// the user named it.
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

// loaderLog keeps the loader to what a user of this program cannot learn otherwise: what guests
// print. Its errors are returned as well.
func (p *program) loaderLog(log *zap.Logger) *zap.Logger {
	if p.verbose.on() {
		return log
	}
	return log.WithOptions(zap.IncreaseLevel(zap.LevelEnablerFunc(func(level zapcore.Level) bool { return level == zapcore.WarnLevel })))
}
