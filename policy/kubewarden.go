package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"

	"policy-server/admission"
	"policy-server/jsontext"
	"policy-server/runtime"
)

// kubewarden is the dialect of Kubewarden's own policies: a guest judges its settings itself, and
// is asked about {"request": …, "settings": …}. Over waPC and over WASI it differs in a few words.
type kubewarden struct {
	runs                           runtime.Protocol
	unreadable, unreadableSettings string // formats, with the decoder's error
}

func (k kubewarden) protocol() runtime.Protocol { return k.runs }

func (k kubewarden) checkSettings(settings []byte, ask func(runtime.Question) (runtime.Answer, error)) error {
	output, err := ask(runtime.Question{Operation: runtime.ValidateSettings, Payload: settings})
	if err != nil {
		return &SettingsError{settingsFailure(err)}
	}
	answer, err := admission.ParseSettingsAnswer(output.Payload)
	switch {
	case err != nil:
		return &SettingsError{fmt.Sprintf(k.unreadableSettings, err)}
	case answer.Valid:
		return nil
	case answer.Message == nil:
		return &SettingsError{"no message"}
	}
	return &SettingsError{*answer.Message}
}

// settingsFailure words the failure of a settings check.
func settingsFailure(err error) string {
	var call *runtime.CallError
	var exit *runtime.ExitError
	switch {
	case errors.As(err, &call):
		return fmt.Sprintf("Error invoking settings validation callback: GuestCallFailure(%q)", call.Reason)
	case errors.As(err, &exit):
		return exitMessage(exit)
	}
	return err.Error()
}

func (k kubewarden) question(_ context.Context, p *Policy, request *admission.Request) (runtime.Question, error) {
	return runtime.Question{Operation: runtime.Validate, Payload: request.Payload(p.Settings)}, nil
}

func (k kubewarden) verdict(
	ctx context.Context, request *admission.Request, answer []byte, patch bool, turn admission.Turn,
) (admission.Response, error) {
	parsed, err := admission.ParseAnswer(answer)
	if err != nil {
		return refuse(request, internalError(fmt.Sprintf(k.unreadable, err))), nil
	}
	response, err := admission.Respond(ctx, request, parsed, patch, turn)
	if err != nil {
		return notConverted(request, err)
	}
	return response, nil
}

// notConverted is what comes of a mutated object that cannot be made a patch.
func notConverted(request *admission.Request, err error) (admission.Response, error) {
	var syntax *jsontext.SyntaxError
	var tooLarge *admission.TooLargeError
	if errors.As(err, &syntax) || errors.As(err, &tooLarge) {
		return refuse(request, internalError(fmt.Sprintf("Cannot convert policy validation response: %v", err))), nil
	}
	return admission.Response{}, err
}

func (k kubewarden) failure(err error) (message string, known bool) {
	var call *runtime.CallError
	var exit *runtime.ExitError
	switch {
	case errors.As(err, &call):
		return internalError("Guest call failure: " + call.Reason), true
	case errors.As(err, &exit):
		return exitMessage(exit), true
	}
	return "", false
}

// exitMessage is what a WASI guest wrote to stderr before it failed, or how it ended when it wrote
// nothing.
func exitMessage(exit *runtime.ExitError) string { return cmp.Or(exit.Stderr, exit.Error()) }
