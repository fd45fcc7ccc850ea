package election

import (
	"bytes"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"k8s.io/client-go/transport"
)

// credentialFiles are the contents of the files that a transport was made from. A renewed
// certificate does nothing for a connection that was made with the old one, so a transport is
// replaced when they change. Token files and plugins are read anew by client-go.
type credentialFiles struct{ certificate, key, authority []byte }

// credentialError says which file cannot be used. The file may be repaired while the process runs.
type credentialError struct {
	what, file string
	err        error
}

func (e *credentialError) Error() string {
	return fmt.Sprintf("reading %s %s: %v", e.what, e.file, e.err)
}

func (e *credentialError) Unwrap() error { return e.err }

// loadCredentialFiles reads the files that conf names, checks them, and puts their contents into
// conf.
func loadCredentialFiles(conf *transport.Config) (credentialFiles, error) {
	var files credentialFiles
	settings := &conf.TLS
	for _, f := range []struct {
		what, file string
		data, read *[]byte
	}{
		{"client certificate", settings.CertFile, &settings.CertData, &files.certificate},
		{"client key", settings.KeyFile, &settings.KeyData, &files.key},
		{"certificate authority", settings.CAFile, &settings.CAData, &files.authority},
	} {
		if f.file == "" || len(*f.data) > 0 {
			continue // data takes precedence over a file
		}
		content, err := os.ReadFile(f.file)
		if path := (*fs.PathError)(nil); errors.As(err, &path) {
			err = path.Err // the file is named already
		}
		if err == nil && len(content) == 0 {
			err = errors.New("the file is empty")
		}
		if err != nil {
			return credentialFiles{}, &credentialError{f.what, f.file, err}
		}
		*f.data, *f.read = content, content
	}
	if files.certificate != nil || files.key != nil {
		if _, err := tls.X509KeyPair(settings.CertData, settings.KeyData); err != nil {
			return credentialFiles{}, &credentialError{"client certificate", settings.CertFile, err}
		}
	}
	settings.ReloadTLSFiles = false
	return files, nil
}

// equal reports whether both have the same contents.
func (f credentialFiles) equal(other credentialFiles) bool {
	return bytes.Equal(f.certificate, other.certificate) && bytes.Equal(f.key, other.key) && bytes.Equal(f.authority, other.authority)
}
