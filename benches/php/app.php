<?php
// The benchmark's application for PHP-FPM.
header('Content-Type: text/plain');
if (strtok($_SERVER['REQUEST_URI'], '?') === '/hello') {
    header('Content-Length: 13');
    echo "Hello, world\n";
} else {
    $chunk = str_repeat('x', 16384);
    for ($i = 0; $i < 64; $i++) {
        echo $chunk;
    }
}
