"""PCM on the ground floor: conversion, resampling, decoding, encoding, trimming and joining."""
