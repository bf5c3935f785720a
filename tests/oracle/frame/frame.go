// Package frame answers requests by JSON lines: one a line on standard input, one answer a line out.
package frame

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
)

const longest = 256 << 20

// Serve answers each request with answer until the input ends. What is no request, or makes answer panic,
// is answered by failed with the reason.
func Serve[Request, Answer any](answer func(Request) Answer, failed func(reason string) Answer) {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(make([]byte, 1<<20), longest)
	out := bufio.NewWriter(os.Stdout)
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	for lines.Scan() {
		if encoder.Encode(one(lines.Bytes(), answer, failed)) != nil || out.Flush() != nil {
			os.Exit(1)
		}
	}
	if err := lines.Err(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func one[Request, Answer any](line []byte, answer func(Request) Answer, failed func(string) Answer) (out Answer) {
	defer func() {
		if fault := recover(); fault != nil {
			out = failed(fmt.Sprintf("panic: %v", fault))
		}
	}()
	var in Request
	if err := json.Unmarshal(line, &in); err != nil {
		return failed("request: " + err.Error())
	}
	return answer(in)
}
