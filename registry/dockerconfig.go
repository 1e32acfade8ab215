package registry

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// DockerConfig is the keychain of Docker's config.json. The file is read each time, so that it may
// change. For a host it asks, in this order: its entry under credHelpers, its entry under auths,
// and credsStore.
//
// Docker's own reader is not used: one entry that it cannot decode hides all others, and it takes
// what is under auths for nothing as soon as there is a credsStore.
type DockerConfig struct {
	Dir string // of config.json; empty: the one that DOCKER_CONFIG names, or else ~/.docker
}

// helperTimeout bounds a credential helper. They answer at once, or wait for somebody to unlock
// something, whom a server does not have.
const helperTimeout = 30 * time.Second

// hubServer is the name under which docker login keeps the credentials for Docker Hub.
const hubServer = "https://index.docker.io/v1/"

// Resolve implements authn.Keychain.
func (k DockerConfig) Resolve(target authn.Resource) (authn.Authenticator, error) {
	return k.ResolveContext(context.Background(), target)
}

// ResolveContext implements authn.ContextKeychain. Without a file, or an entry in it, the answer is
// authn.Anonymous. The error says which entry or helper is at fault, and holds no secrets.
func (k DockerConfig) ResolveContext(ctx context.Context, target authn.Resource) (authn.Authenticator, error) {
	file, err := k.file()
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return authn.Anonymous, nil
	}
	if err != nil {
		return nil, err
	}
	config, err := parseDockerConfig(content)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	found, err := config.credentials(ctx, target.RegistryStr())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if found == (authn.AuthConfig{}) {
		return authn.Anonymous, nil
	}
	return authn.FromConfig(found), nil
}

func (k DockerConfig) file() (string, error) {
	dir := cmp.Or(k.Dir, os.Getenv("DOCKER_CONFIG"))
	if dir == "" {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", fmt.Errorf("find Docker's config.json: %w", err)
		}
		dir = filepath.Join(home, ".docker")
	}
	return filepath.Join(dir, "config.json"), nil
}

// dockerConfig is what matters here of config.json. Entries are decoded when their host is asked
// for: what is wrong with one is no concern of the others.
type dockerConfig struct {
	Auths       map[string]json.RawMessage `json:"auths"`
	CredHelpers map[string]string          `json:"credHelpers"`
	CredsStore  string                     `json:"credsStore"`
}

func parseDockerConfig(content []byte) (dockerConfig, error) {
	var config dockerConfig
	if err := json.Unmarshal(content, &config); err != nil {
		return dockerConfig{}, withoutValue(err)
	}
	return config, nil
}

// withoutValue drops what a JSON error may quote of the file.
func withoutValue(err error) error {
	var syntax *json.SyntaxError
	var mistyped *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("invalid JSON at byte %d", syntax.Offset)
	case errors.As(err, &mistyped):
		expected := "a string"
		if mistyped.Type.Kind() != reflect.String {
			expected = "an object"
		}
		found, _, _ := strings.Cut(mistyped.Value, " ") // behind a blank is the value of a number
		return fmt.Errorf("%q: expected %s, got a JSON %s", cmp.Or(mistyped.Field, "."), expected, found)
	}
	return errors.New("invalid JSON")
}

// credentials returns those for the host; none is no error.
func (c dockerConfig) credentials(ctx context.Context, host string) (authn.AuthConfig, error) {
	if key, ok := keyFor(c.CredHelpers, host); ok {
		return askHelper(ctx, c.CredHelpers[key], host)
	}
	key, _ := keyFor(c.Auths, host)
	found, err := decodeEntry(c.Auths[key])
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("auths.%q: %w", key, err)
	}
	if found != (authn.AuthConfig{}) || c.CredsStore == "" {
		return found, nil
	}
	return askHelper(ctx, c.CredsStore, host)
}

// keyFor returns the key that stands for the host: the very host, or else one that names it another
// way.
func keyFor[V any](entries map[string]V, host string) (string, bool) {
	if _, ok := entries[host]; ok {
		return host, true
	}
	for _, key := range slices.Sorted(maps.Keys(entries)) {
		if hostKey(configHost(key)) == hostKey(host) {
			return key, true
		}
	}
	return "", false
}

// configHost returns the host of a key, which may be a URL, as docker login writes for Docker Hub.
func configHost(key string) string {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, _, _ := strings.Cut(key, "/")
	if host == "registry-1.docker.io" {
		return name.DefaultRegistry
	}
	return host
}

// decodeEntry reads an entry under auths: user and password, together in auth or apart, or a token.
// An entry without any is legal: docker login leaves such behind for what is in a credsStore.
func decodeEntry(entry json.RawMessage) (authn.AuthConfig, error) {
	var fields struct {
		Auth          string `json:"auth"`
		Username      string `json:"username"`
		Password      string `json:"password"`
		IdentityToken string `json:"identitytoken"`
		RegistryToken string `json:"registrytoken"`
	}
	if len(entry) == 0 {
		return authn.AuthConfig{}, nil
	}
	if err := json.Unmarshal(entry, &fields); err != nil {
		return authn.AuthConfig{}, withoutValue(err)
	}
	found := authn.AuthConfig{
		Username: fields.Username, Password: fields.Password, IdentityToken: fields.IdentityToken, RegistryToken: fields.RegistryToken,
	}
	if fields.Auth == "" {
		return found, nil
	}
	// Some tools leave the padding out.
	plain, err := base64.RawStdEncoding.DecodeString(strings.TrimRight(strings.TrimSpace(fields.Auth), "="))
	user, password, ok := strings.Cut(string(plain), ":")
	if err != nil || !ok {
		return authn.AuthConfig{}, errors.New(`"auth" is not the base64 of USER:PASSWORD`)
	}
	found.Username, found.Password = user, strings.TrimRight(password, "\x00")
	return found, nil
}

// askHelper runs docker-credential-HELPER, whose protocol is that of
// https://github.com/docker/docker-credential-helpers.
func askHelper(ctx context.Context, helper, host string) (authn.AuthConfig, error) {
	program := "docker-credential-" + helper
	if filepath.Base(program) != program {
		return authn.AuthConfig{}, fmt.Errorf("credential helper %q is a path, expected what follows docker-credential-", helper)
	}
	server := host
	if hostKey(host) == name.DefaultRegistry {
		server = hubServer
	}
	ctx, cancel := context.WithTimeout(ctx, helperTimeout)
	defer cancel()
	command := exec.CommandContext(ctx, program, "get")
	command.Stdin = strings.NewReader(server)
	command.WaitDelay = time.Second // for what the helper started, and left its output to
	output, err := command.Output()
	switch {
	case err != nil && ctx.Err() != nil:
		return authn.AuthConfig{}, fmt.Errorf("credential helper %q: %w", program, ctx.Err())
	case err != nil && bytes.HasPrefix(output, []byte("credentials not found")):
		return authn.AuthConfig{}, nil
	case err != nil: // what it printed is left out: nobody knows what that is
		return authn.AuthConfig{}, fmt.Errorf("credential helper %q: %w", program, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(output, &answer); err != nil {
		return authn.AuthConfig{}, fmt.Errorf("credential helper %q: its answer: %w", program, withoutValue(err))
	}
	if answer.Username == "<token>" {
		return authn.AuthConfig{IdentityToken: answer.Secret}, nil
	}
	return authn.AuthConfig{Username: answer.Username, Password: answer.Secret}, nil
}
