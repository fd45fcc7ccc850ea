//go:build unix

package exec_test

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	osexec "os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"kooperd.dev/kooperd/pkg/handlers"
	"kooperd.dev/kooperd/pkg/handlers/exec"
)

const (
	// programVariable names the program that the test binary is to be.
	programVariable = "EXEC_TEST_PROGRAM"
	// fileVariable names the file that a program writes what it has to tell to.
	fileVariable = "EXEC_TEST_FILE"
)

// programs are what the handlers of the tests run. Each returns its exit status.
var programs = map[string]func() int{"report": report, "deaf": deaf, "leaver": leaver, "spew": spew, "daemon": daemon}

// told is what report tells.
type told struct {
	Args   []string
	Env    []string
	Dir    string
	Bytes  int
	SHA256 string
	Name   string
	Leader bool
}

// report tells what it was given.
func report() int {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		return fail(err)
	}
	var object struct {
		Metadata struct{ Name string } `json:"metadata"`
	}
	if err := json.Unmarshal(input, &object); err != nil {
		return fail(err)
	}
	dir, err := os.Getwd()
	if err != nil {
		return fail(err)
	}
	sum := sha256.Sum256(input)
	b, err := json.Marshal(told{
		Args: os.Args[1:], Env: os.Environ(), Dir: dir, Bytes: len(input), SHA256: hex.EncodeToString(sum[:]),
		Name: object.Metadata.Name, Leader: syscall.Getpgrp() == os.Getpid(),
	})
	if err != nil {
		return fail(err)
	}
	return tell(string(b))
}

// deaf ignores SIGTERM and tells its process id.
func deaf() int {
	signal.Ignore(syscall.SIGTERM)
	if code := tell(strconv.Itoa(os.Getpid())); code != 0 {
		return code
	}
	<-time.After(time.Hour)
	return 0
}

// leaver ends at once and leaves a child that has left its group and holds its output open.
func leaver() int {
	cmd := osexec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), programVariable+"=deaf")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fail(err)
	}
	return awaitLine()
}

// awaitLine waits until something has been told.
func awaitLine() int {
	tick, late := time.Tick(10*time.Millisecond), time.After(30*time.Second)
	for {
		select {
		case <-late:
			return fail(errors.New("waiting for a line: none has come"))
		case <-tick:
			if b, err := os.ReadFile(os.Getenv(fileVariable)); err == nil && len(b) > 0 {
				return 0
			}
		}
	}
}

// spew writes as many MiB as it is told to both streams, without a newline if it is told "flat".
func spew() int {
	size, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return fail(err)
	}
	end := "\n"
	if slices.Contains(os.Args, "flat") {
		end = "."
	}
	block := []byte(strings.Repeat(strings.Repeat("x", 1023)+end, 1024))
	for _, stream := range []*os.File{os.Stdout, os.Stderr} {
		for range size {
			if _, err := stream.Write(block); err != nil {
				return fail(err)
			}
		}
	}
	w := bufio.NewWriter(os.Stderr)
	_, _ = w.WriteString("\nthe last word\n")
	if err := w.Flush(); err != nil {
		return fail(err)
	}
	return tell("done")
}

// daemon is a program that makes three calls and ends only when it is killed.
func daemon() int {
	registry, err := handlers.NewRegistry(exec.Plugin)
	if err != nil {
		return fail(err)
	}
	bound, problems, err := registry.Bind("exec", []byte(os.Args[1]))
	if err != nil || len(problems) > 0 {
		return fail(fmt.Errorf("binding: %w %v", err, problems))
	}
	h, err := bound.New(context.Background(), handlers.Env{Definition: "d", Logger: logr.Discard()})
	if err != nil {
		return fail(err)
	}
	o, err := handlers.ObjectOf(&corev1.ConfigMap{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"}, ObjectMeta: metav1.ObjectMeta{Name: "cart"},
	})
	if err != nil {
		return fail(err)
	}
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			_, err := h.Handle(context.Background(), handlers.Request{Object: o})
			fail(fmt.Errorf("the handler returned: %w", err))
		})
	}
	calls.Wait()
	return 99
}

func tell(line string) int {
	f, err := os.OpenFile(os.Getenv(fileVariable), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fail(err)
	}
	if _, err := f.WriteString(line + "\n"); err != nil {
		return fail(err)
	}
	if err := f.Close(); err != nil {
		return fail(err)
	}
	return 0
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 99
}
