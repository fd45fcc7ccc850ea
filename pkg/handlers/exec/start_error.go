package exec

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// explainStart adds what the kernel's error leaves out: it says "no such file or directory" of a
// program that is there when its interpreter or the working directory is not.
func explainStart(err error, program, dir string) error {
	why := ""
	switch {
	case errors.Is(err, fs.ErrNotExist):
		why = missing(program, dir)
	case errors.Is(err, syscall.ENOEXEC):
		why = notExecutable(program)
	}
	if why == "" {
		return err
	}
	return fmt.Errorf("%w: %s", err, why)
}

func missing(program, dir string) string {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Sprintf("the working directory %s does not exist", dir)
	}
	line, err := firstLine(program)
	if err != nil {
		return "" // It is the program that does not exist.
	}
	interpreter, isScript := bytes.CutPrefix(line, []byte("#!"))
	switch {
	case isELF(line):
		return "the loader that it was linked for does not exist here"
	case !isScript:
		return ""
	case bytes.HasSuffix(line, []byte("\r")):
		return "it is a script with CRLF line endings: write it with LF alone"
	}
	name, _, _ := strings.Cut(strings.TrimSpace(string(interpreter)), " ")
	return fmt.Sprintf("its interpreter %s does not exist", name)
}

func notExecutable(program string) string {
	line, err := firstLine(program)
	switch {
	case err != nil:
		return ""
	case isELF(line):
		return "it was built for another system or processor"
	case len(line) == 0:
		return "it is empty"
	case bytes.HasPrefix(line, []byte("#!")):
		return "its first line names no interpreter"
	}
	return "it is neither an executable nor a script that begins with #!, such as #!/bin/sh"
}

func isELF(line []byte) bool { return bytes.HasPrefix(line, []byte("\x7fELF")) }

// firstLine returns the first line of a file, without the newline; of a long one the beginning.
func firstLine(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	line, err := bufio.NewReader(io.LimitReader(f, 4096)).ReadBytes('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return bytes.TrimSuffix(line, []byte("\n")), nil
}
