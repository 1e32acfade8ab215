package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"syscall"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"policy-server/registry/sign"
)

// passwordVariable is cosign's, so that what is set up for it works here.
const passwordVariable = "COSIGN_PASSWORD"

func (p *program) generateKeyPairCommand() *cobra.Command {
	command := newCommand("generate-key-pair [OPTIONS]",
		"Make a key pair to sign policies with",
		`Make a key pair to sign policies with: PREFIX.key, the private key, encrypted with a password, and PREFIX.pub, which
those need who verify. cosign can use both. Files that exist are not overwritten.

The password is that of the variable COSIGN_PASSWORD, which may be empty; without the variable it is asked for.`,
		arguments(nil))
	command.Example = fmt.Sprintf(`  %[1]s generate-key-pair
  %[1]s sign --key cosign.key ghcr.io/acme/policy:v1
  %[1]s verify -k cosign.pub ghcr.io/acme/policy:v1`, p.name)
	var prefix value
	prefix.Text = "cosign"
	prefix.add(command.Flags(), "output-key-prefix", "", "PREFIX", "of the names of the two files")
	command.RunE = func(*cobra.Command, []string) error {
		private, public := prefix.Text+".key", prefix.Text+".pub"
		for _, name := range []string{private, public} { // before anybody types a password
			if _, err := os.Lstat(name); err == nil {
				return &keyExistsError{name}
			}
		}
		password, err := choosePassword()
		if err != nil {
			return err
		}
		privateText, publicText, err := sign.GenerateKeyPair(password)
		if err != nil {
			return err
		}
		if err := createFile(private, privateText, 0o600); err != nil {
			return err
		}
		if err := createFile(public, publicText, 0o644); err != nil {
			return err
		}
		_, err = fmt.Fprintf(p.stdout, "%s\n%s\n", private, public)
		return err
	}
	return command
}

// keyExistsError reports a file of a key pair that is there already.
type keyExistsError struct{ file string }

func (e *keyExistsError) Error() string {
	return fmt.Sprintf("cannot create file %s: %v", e.file, system(syscall.EEXIST))
}

// Hint says what to do without losing that key.
func (*keyExistsError) Hint() string {
	return "name another pair with --output-key-prefix, or move the file away: signatures by its key count as long as someone trusts it"
}

// createFile writes a file that is not there yet: somebody may still need the key of that name.
func createFile(name string, content []byte, mode os.FileMode) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return fmt.Errorf("cannot create file %s: %w", name, system(err))
	}
	_, err = file.Write(content)
	return errors.Join(err, file.Close())
}

func readPrivateKey(file string) (*sign.Key, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("could not read file %s: %w", file, system(err))
	}
	key, err := sign.ParseKey(text, password)
	if err != nil {
		return nil, &keyError{file, err}
	}
	return key, nil
}

// keyError reports a file that holds no private key to sign with, or one that cannot be opened.
type keyError struct {
	file string
	err  error
}

func (e *keyError) Error() string { return fmt.Sprintf("key %s: %v", e.file, e.err) }
func (e *keyError) Unwrap() error { return e.err }

// Hint says where the password came from, which somebody who was never asked for it may not know.
func (e *keyError) Hint() string {
	var hinted interface{ Hint() string }
	if errors.As(e.err, &hinted) {
		return hinted.Hint()
	}
	if _, set := os.LookupEnv(passwordVariable); set && errors.Is(e.err, sign.ErrPassword) {
		return "the password tried is the one in " + passwordVariable + "; without that variable it is asked for"
	}
	return ""
}

// choosePassword returns the password of a new key.
func choosePassword() ([]byte, error) {
	if set, ok := os.LookupEnv(passwordVariable); ok {
		return []byte(set), nil
	}
	first, err := ask("Password for the new private key: ")
	if err != nil {
		return nil, err
	}
	second, err := ask("The same again: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errors.New("the two passwords differ")
	}
	return first, nil
}

// password returns the password of an existing key.
func password() ([]byte, error) {
	if set, ok := os.LookupEnv(passwordVariable); ok {
		return []byte(set), nil
	}
	return ask("Password for the private key: ")
}

// ask asks the person at the terminal.
func ask(prompt string) ([]byte, error) {
	terminal := int(os.Stdin.Fd())
	if !term.IsTerminal(terminal) {
		return nil, &noPasswordError{}
	}
	fmt.Fprint(os.Stderr, prompt)
	defer fmt.Fprintln(os.Stderr)
	return term.ReadPassword(terminal)
}

// noPasswordError reports that a password is wanted and there is no terminal to type it at.
type noPasswordError struct{}

func (*noPasswordError) Error() string { return "a password is needed for the private key" }

// Hint says where it comes from.
func (*noPasswordError) Hint() string {
	return "set " + passwordVariable + ", to nothing if the key has none, or run the command in a terminal"
}
